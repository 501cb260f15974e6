"""Every HTTP function on one port, as the routes of a deployment would spread them.

uvicorn infra.local.api:app
"""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from functions import crew_launch, flow_events, flow_status


class OnePort:
    """ASGI: hands each request to the function that has a route for it.

    Where no function has one, the first answers, and says that there is no such thing.
    """

    def __init__(self, functions: Sequence[Starlette]) -> None:
        self._functions = functions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._function(scope)(scope, receive, send)

    def _function(self, scope: Scope) -> Starlette:
        return max(self._functions, key=lambda function: _match(function, scope))


def _match(function: Starlette, scope: Scope) -> int:
    """Return how well a function fits: path and method, path alone, or not at all."""
    if scope["type"] != "http":
        return Match.NONE.value
    return max(route.matches(scope)[0].value for route in function.routes)


app = OnePort([flow_status.app, flow_events.app, crew_launch.app])

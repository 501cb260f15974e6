"""Every HTTP function and the page on one port, as the routes of a deployment would spread them.

uvicorn --factory infra.api:checked
"""

from collections.abc import Mapping
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from core import bootstrap
from functions import (
    METHODS,
    cost_report,
    crew_agui,
    crew_amp,
    crew_launch,
    feedback,
    flow_events,
    flow_status,
    has_long_target,
    rebased,
)
from infra import page

OF_FUNCTION = "/healthz/"  # how one of them is


class OnePort:
    """ASGI: hands each request to the function that has a route for it.

    Where no function has one, the first answers, and says that there is no such thing. Where one
    has the path but not the method, the answer lists the methods of all functions.
    """

    def __init__(self, functions: Mapping[str, Starlette], *others: Starlette) -> None:
        self._by_name, self._functions = functions, [*functions.values(), *others]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = rebased(scope)

        async def allowing(message: Message) -> None:
            if message.get("status") == HTTPStatus.METHOD_NOT_ALLOWED:
                kept = [line for line in message["headers"] if line[0] != b"allow"]
                message["headers"] = kept + self._allow(scope)
            await send(message)

        await self._function(scope)(scope, receive, allowing)

    def _function(self, scope: Scope) -> Starlette:
        if scope["type"] == "http" and has_long_target(scope):
            return self._functions[0]  # no path is compared: any of them refuses this
        if scope["type"] == "http" and scope["path"].startswith(OF_FUNCTION):
            named = self._by_name.get(scope["path"].removeprefix(OF_FUNCTION))
            return named or self._functions[0]
        partly: Starlette | None = None
        for function in self._functions:
            match = _match(function, scope)
            if match == Match.FULL:
                return function
            if match == Match.PARTIAL:
                partly = partly or function
        return partly or self._functions[0]

    def _allow(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Return the methods that this path has in any function."""
        asked = {method: {**scope, "method": method} for method in METHODS}
        found = [
            method
            for method, as_if in asked.items()
            if _match(self._function(as_if), as_if) == Match.FULL
        ]
        return [(b"allow", ", ".join(found).encode())]


def _match(function: Starlette, scope: Scope) -> Match:
    """Return how well a function fits: path and method, path alone, or not at all."""
    partly = Match.NONE
    for route in function.routes if scope["type"] == "http" else ():
        match, _ = route.matches(scope)
        if match == Match.FULL:
            return match
        partly = match if match == Match.PARTIAL else partly
    return partly


app = OnePort(
    {
        "flow_status": flow_status.app,
        "flow_events": flow_events.app,
        "crew_launch": crew_launch.app,
        "crew_amp": crew_amp.app,
        "crew_agui": crew_agui.app,
        "cost_report": cost_report.app,
        "feedback": feedback.app,
    },
    page.app,
)


def checked() -> OnePort:
    """Return the app. Raises SettingsError, which the first request would be told otherwise."""
    bootstrap.keys()
    return app

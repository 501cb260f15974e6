"""What a schedule calls: on AWS Lambda a handler; over HTTP a route, for QStash and Vercel's crons."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from core import bootstrap, logs
from core.config import QStash
from core.crews.clock import Clock
from functions._http import apps
from functions._process import clocks, event_loop, request_log
from functions._worker import wakeups

Work = Callable[[Clock], Awaitable[dict[str, int]]]  # what is done in the time that a clock has
Address = Callable[[QStash], str | None]  # at which QStash calls this function


def handler(work: Work) -> Callable[[Any, Any], dict[str, int]]:
    """Return AWS Lambda's entry."""

    def handle(event: Any, context: Any) -> dict[str, int]:
        del event
        request_log.configure()
        with logs.context(request_id=request_log.invocation_id(context)):
            return event_loop.run(_checked(work, clocks.LambdaClock(context)))

    return handle


def app(function: str, address: Address, work: Work, *needs: Callable[[], object]) -> ASGIApp:
    """Return the app that does the work when QStash posts to /v1/FUNCTION, or a cron of Vercel gets it.

    `needs` make what it needs of its settings: /healthz tries them.
    """
    path = f"/v1/{function}"

    async def on_schedule(request: Request) -> Response:
        qstash = bootstrap.settings().qstash
        await wakeups.read_signed(request, qstash and address(qstash))
        return await answer()

    async def on_cron(request: Request) -> Response:
        wakeups.require_cron(request)
        return await answer()

    async def answer() -> Response:
        clock = clocks.DeadlineClock(bootstrap.settings().worker_seconds)
        return JSONResponse(await _checked(work, clock))

    return apps.unguarded(
        function,
        [Route(path, on_schedule, methods=["POST"]), Route(path, on_cron, methods=["GET"])],
        *needs,
    )


async def _checked(work: Work, clock: Clock) -> dict[str, int]:
    """Do the work, unless the store was begun with other settings."""
    await bootstrap.store_check().require()
    return await work(clock)

"""Polling: when to come back, and answers that are held until there is something to say."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from core import bootstrap
from core.flows import Batch, Flow, Head, Status
from functions import _app, _prefer

T = TypeVar("T")

POLL_SECONDS = {Status.QUEUED: 5, Status.RUNNING: 2, Status.WAITING: 30}  # not once it has ended


def come_back(head: Head) -> dict[str, str]:
    """Return the header that tells a poller when to ask again; none once nothing can change."""
    seconds = POLL_SECONDS.get(head.status)
    return {} if seconds is None else {"retry-after": str(seconds)}


@dataclass(frozen=True, slots=True)
class Hold:
    """For how long an answer may be held, and what is left of that."""

    seconds: int
    left: Callable[[], float]

    @property
    def headers(self) -> dict[str, str]:
        """What says that the preference was heeded, and how far."""
        return {"preference-applied": f"wait={self.seconds}"} if self.seconds else {}


NOT_HELD = Hold(0, lambda: 0.0)


def hold(request: Request) -> Hold:
    """Return what `Prefer: wait=N` asks for, as far as the host has the time."""
    lines = request.headers.getlist("prefer")
    asked = _prefer.wait_seconds(",".join(lines)) if lines else None
    if not asked:
        return NOT_HELD
    left = _app.seconds_left(request.scope, min(asked, _app.answer_seconds(request.scope)))
    return Hold(max(0, round(left())), left)


async def first(
    request: Request,
    tenant: str,
    flow: str,
    cursor: str,
    held: Hold,
    answer: Callable[[Batch | Flow], Awaitable[T | None]],
) -> T | None:
    """Return the first answer that is made of what comes after a cursor.

    None when the time is over, or the client has gone. Raises NotFoundError, UnavailableError.
    """
    watching = asyncio.create_task(_first(tenant, flow, cursor, held, answer))
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((watching, gone), return_when=asyncio.FIRST_COMPLETED)
        return watching.result() if watching.done() else None
    finally:
        for task in (watching, gone):
            task.cancel()
        await asyncio.gather(watching, gone, return_exceptions=True)


async def _first(
    tenant: str,
    flow: str,
    cursor: str,
    held: Hold,
    answer: Callable[[Batch | Flow], Awaitable[T | None]],
) -> T | None:
    async with (
        bootstrap.hub().subscribe(tenant, flow, cursor) as subscriber,
        aclosing(subscriber.items(held.left)) as items,
    ):
        async for item in items:
            if item and (found := await answer(item)) is not None:
                return found
    return None


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

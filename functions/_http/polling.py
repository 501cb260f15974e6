"""Polling: when to come back, and answers that are held until there is something to say."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from core import bootstrap
from core.flows import Batch, Flow, Head, Status
from core.flows.stream_limiter import TooManyStreamsError
from core.identity import Principal
from functions._http import apps
from functions._http.under_way import under_way

T = TypeVar("T")

POLL_SECONDS = {Status.QUEUED: 5, Status.RUNNING: 2, Status.WAITING: 30}  # not once it has ended

PREFER_CHARACTERS = 512  # a longer Prefer field is not looked at
# Patterns are compiled by the first of these fields, and kept by `re`: every cold start would pay for them.
TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = r'"(?:[^"\\]|\\.)*"'
MEMBER = rf'(?:[^",]|{QUOTED})+'
PREFERENCE = rf"[ \t]*({TCHARS})[ \t]*(?:=[ \t]*({TCHARS}|{QUOTED})?[ \t]*)?(?:;.*)?"
SECONDS = r"[0-9]{1,9}"


def retry_after_header(head: Head) -> dict[str, str]:
    """Return the header that tells a poller when to ask again; none once nothing can change."""
    seconds = POLL_SECONDS.get(head.status)
    return {} if seconds is None else {"retry-after": str(seconds)}


@dataclass(frozen=True, slots=True)
class LongPoll:
    """For how long an answer may be held, and what is left of that."""

    seconds: int
    left: Callable[[], float]

    @property
    def headers(self) -> dict[str, str]:
        """What says that the preference was heeded, and how far."""
        return {"preference-applied": f"wait={self.seconds}"} if self.seconds else {}


NO_LONG_POLL = LongPoll(0, lambda: 0.0)


@contextmanager
def long_poll(request: Request, who: Principal) -> Generator[LongPoll]:
    """Yield what `Prefer: wait=N` asks for, as far as the host has the time and `who` streams left.

    It counts as a stream meanwhile. One too many is answered at once, as if nothing was preferred.
    """
    lines = request.headers.getlist("prefer")
    asked = wait_seconds(",".join(lines)) if lines else None
    with ExitStack() as held:
        try:
            if asked:
                held.enter_context(under_way.as_stream(who))
        except TooManyStreamsError:
            asked = 0
        yield _granted(request, asked) if asked else NO_LONG_POLL


def _granted(request: Request, asked: int) -> LongPoll:
    left = apps.seconds_left(request.scope, min(asked, apps.answer_seconds(request.scope)))
    return LongPoll(max(0, round(left())), left)


def wait_seconds(field: str) -> int | None:
    """Return what the first `wait` of a Prefer field asks for (RFC 7240); None without a number.

    Several lines of the header are joined by commas. Members that are malformed are passed over.
    """
    if len(field) > PREFER_CHARACTERS:
        return None
    members = (re.fullmatch(PREFERENCE, member) for member in re.findall(MEMBER, field))
    asked = next((m[2] for m in members if m and m[1].lower() == "wait"), None)
    value = re.sub(r"\\(.)", r"\1", (asked or "").strip('"'))
    return int(value) if re.fullmatch(SECONDS, value) else None


async def first_answer(
    request: Request,
    tenant: str,
    flow: str,
    cursor: str,
    poll: LongPoll,
    answer: Callable[[Batch | Flow], Awaitable[T | None]],
) -> T | None:
    """Return the first answer that is made of what comes after a cursor.

    None when the time is over, or the client has gone. Raises NotFoundError, UnavailableError.
    """
    watching = asyncio.create_task(_watch(tenant, flow, cursor, poll, answer))
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((watching, gone), return_when=asyncio.FIRST_COMPLETED)
        return watching.result() if watching.done() else None
    finally:
        for task in (watching, gone):
            task.cancel()
        await asyncio.gather(watching, gone, return_exceptions=True)


async def _watch(
    tenant: str,
    flow: str,
    cursor: str,
    poll: LongPoll,
    answer: Callable[[Batch | Flow], Awaitable[T | None]],
) -> T | None:
    async with (
        bootstrap.hub().subscribe(tenant, flow, cursor) as subscriber,
        aclosing(subscriber.items(poll.left)) as items,
    ):
        async for item in items:
            if item and (found := await answer(item)) is not None:
                return found
    return None


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

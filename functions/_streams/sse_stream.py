"""Watching one flow or several over one stream of server-sent events.

A stream is short-lived by design: it ends after a whole event, before the host would end it, and
the reader comes back with the id of the last event it saw. Where the host buffers answers, it ends
with its first batch or after a hold: the same words, as a long poll.

The id of an event tells how far the reader has come in every flow of the stream: their cursors,
in the order in which they were asked for, joined by `~`; `-` stands for a flow not begun.
"""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap
from core.errors import NotFoundError, UnavailableError
from core.flows import CURSOR, Batch, Flow, events
from core.flows.hub import Subscriber
from core.flows.stream_limiter import TooManyStreamsError
from core.identity import Principal
from core.json_text import compact
from functions._http import apps
from functions._http.under_way import under_way
from functions._streams import sse

log = logging.getLogger(__name__)

RETRY_MS = 1000
NOT_BEGUN = "-"
Item = Batch | Flow
Wrap = Callable[[str, str], str]  # of a flow and an event's JSON, what is sent


@dataclass(slots=True)
class StreamedFlow:
    """One flow of a stream, and how far its reader has come."""

    flow: str
    subscriber: Subscriber
    cursor: str


async def stream(
    request: Request, who: Principal, cursors: Mapping[str, str | None], wrap: Wrap
) -> Response:
    """Answer with what comes after these cursors; with 204 when there will be no more.

    An outage is a stream that says when to come back, as any status but 200 would end an
    EventSource for good; so is one stream too many, if it is opened with a ticket, as only an
    EventSource is. Raises NotFoundError, TooManyStreamsError.
    """
    async with AsyncExitStack() as held:
        try:
            held.enter_context(under_way.as_stream(who, len(cursors)))
            streamed = await _subscribe_all(held, who.tenant, cursors)
        except UnavailableError as error:
            return sse.EventStream(_retry_only("not available", error.retry_after_seconds))
        except TooManyStreamsError as error:
            if who.flows is None:
                raise
            return sse.EventStream(_retry_only("too many streams", error.retry_after_seconds))
        if all(one.subscriber.ended for one in streamed):
            return Response(status_code=204)
        if request.method == "HEAD":
            return Response(headers=sse.HEADERS)
        return sse.EventStream(_frames(request, streamed, wrap), held.pop_all())


async def _subscribe_all(
    held: AsyncExitStack, tenant: str, cursors: Mapping[str, str | None]
) -> list[StreamedFlow]:
    """Subscribe to all flows at the same time. Raises what the first that failed did.

    Of several, it says which are not there.
    """
    joining = (_subscribe(held, tenant, *pair) for pair in cursors.items())
    found = await asyncio.gather(*joining, return_exceptions=True)  # all of them end in `held`
    apps.tell_missing(found)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if isinstance(one, StreamedFlow)]


async def _subscribe(
    held: AsyncExitStack, tenant: str, flow: str, cursor: str | None
) -> StreamedFlow:
    subscriber = await held.enter_async_context(bootstrap.hub().subscribe(tenant, flow, cursor))
    return StreamedFlow(
        flow, subscriber, cursor if cursor and CURSOR.fullmatch(cursor) else NOT_BEGUN
    )


def _retry(milliseconds: int) -> bytes:
    """Return the wait, with as much again at most, so that readers cut together part."""
    return sse.retry(milliseconds + random.randrange(milliseconds))  # noqa: S311 -- no secret


async def _retry_only(reason: str, seconds: int) -> AsyncGenerator[bytes]:
    yield sse.comment(reason) + _retry(seconds * 1000)


async def _frames(
    request: Request, streamed: list[StreamedFlow], wrap: Wrap
) -> AsyncGenerator[bytes]:
    """Yield the whole stream; a store that stops answering ends it, between two events."""
    yield _retry(RETRY_MS)
    buffered = apps.buffers(request.scope)
    left = apps.seconds_left(request.scope, apps.answer_seconds(request.scope))
    try:
        async with aclosing(merged([one.subscriber.items(left) for one in streamed])) as found:
            async for items in found:
                frames = b"".join(
                    frame for at, item in items for frame in _frames_of(streamed, at, item, wrap)
                )
                yield frames or sse.HEARTBEAT
                if buffered and frames:
                    return
    except (UnavailableError, NotFoundError) as error:
        flows = [one.flow for one in streamed]
        log.info("a stream ended early: %s", error, extra={"flows": flows})


def _frames_of(streamed: list[StreamedFlow], at: int, item: Item, wrap: Wrap) -> Iterator[bytes]:
    """Yield the frames of an item, and move the reader's cursor on with each."""
    one = streamed[at]
    for cursor, event in _events(one.subscriber, item):
        one.cursor = cursor
        yield sse.event(wrap(one.flow, event), "~".join(each.cursor for each in streamed))


def _events(subscriber: Subscriber, item: Item) -> Iterator[tuple[str, str]]:
    """Yield each event of an item after the cursor at which it is valid."""
    if isinstance(item, Flow):
        cursor = item.head.cursor(item.head.snapshot_event)
        yield cursor, compact(events.state_snapshot(item.public()))
        return
    for entry in item:
        yield subscriber.head.cursor(entry.number), entry.json


async def merged(
    sources: Sequence[AsyncGenerator[Item]],
) -> AsyncGenerator[list[tuple[int, Item]]]:
    """Yield what has come from any of these, each item with the place of its source.

    One item of each source is asked for at a time, so a slow reader holds all of them back.
    """
    waiting = {asyncio.create_task(_next(source)): at for at, source in enumerate(sources)}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            found = [(waiting.pop(task), task.result()) for task in done]
            if items := [(at, item) for at, item in found if item is not None]:
                yield items
            waiting |= {asyncio.create_task(_next(sources[at])): at for at, _ in items}
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for source in sources:
            await source.aclose()


async def _next(source: AsyncGenerator[Item]) -> Item | None:
    return await anext(source, None)

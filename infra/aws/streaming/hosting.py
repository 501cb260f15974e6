"""An ASGI app as a function of AWS Lambda whose answers stream; Mangum does so where they are buffered.

Requests are read as Mangum reads them. An answer begins with its first bytes of a body: what fails
before that is reported as a failed invocation, which API Gateway answers with 502.
"""

import asyncio
import logging
from typing import Any

from mangum import Mangum
from mangum.handlers.utils import handle_multi_value_headers
from starlette.types import ASGIApp, Message, Scope

from core.json_text import compact_bytes
from functions._http import edge
from infra.aws.streaming.runtime_api import Invocation, RuntimeApi, StreamedAnswer

LAST_SECONDS = 1.0  # of an invocation: an app that still runs is ended, and its answer with it
CLOSE_SECONDS = 0.3  # of it: what is not taken by then is given up, or Lambda would end the process
DELIMITER = bytes(8)  # between status and headers, and the body

log = logging.getLogger(__name__)


class NoAnswerError(Exception):
    """The app has returned, and sent no answer."""


class Host:
    """Runs an app: one invocation after the other, all in one event loop."""

    def __init__(self, app: ASGIApp, api: RuntimeApi) -> None:
        self._app, self._api = app, api
        self._mangum = Mangum(app, lifespan="off")  # pyright: ignore[reportArgumentType]

    async def serve(self, stopping: asyncio.Event) -> None:
        """Answer until `stopping` is set, and whatever is under way then. Raises as RuntimeApi does."""
        stopped = asyncio.create_task(stopping.wait())
        while not stopping.is_set():
            coming = asyncio.create_task(self._api.next())
            await asyncio.wait({coming, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                return
            # In a task, so that what one invocation adds to the log's context ends with it.
            await asyncio.create_task(self._answer(coming.result()))

    async def _answer(self, invocation: Invocation) -> None:
        exchange = _Exchange(self._api, invocation)
        failure: Exception | None = None
        try:
            scope, exchange.body = self._request(invocation)
            async with asyncio.timeout(invocation.seconds_left - LAST_SECONDS):
                await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            log.exception("an invocation failed")
            failure = error
        await exchange.end(failure)

    def _request(self, invocation: Invocation) -> tuple[Scope, bytes]:
        """Return a request's scope and body. The event has a name that does not say that answers are buffered."""
        handler: Any = self._mangum.infer(invocation.event, invocation)  # pyright: ignore[reportArgumentType]
        scope = dict(handler.scope)
        scope[edge.STREAMED_EVENT] = scope.pop(edge.BUFFERED_EVENT)
        return scope, handler.body


class _Exchange:
    """What an app receives of one invocation, and sends."""

    def __init__(self, api: RuntimeApi, invocation: Invocation) -> None:
        self._api, self._invocation = api, invocation
        self._start: Message | None = None
        self._answer: StreamedAnswer | None = None
        self._complete, self._gone = False, asyncio.Event()
        self.body: bytes | None = b""  # None once it is received

    async def receive(self) -> Message:
        if self.body is not None:
            body, self.body = self.body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        answer = self._answer or await self._begin()
        await answer.write(message.get("body", b""))
        if not message.get("more_body", False):
            answer.finish()
            self._complete = True

    async def _begin(self) -> StreamedAnswer:
        assert self._start is not None, "a body came without a start"  # noqa: S101 -- ASGI forbids it
        self._answer = await self._api.begin(self._invocation, self._gone)
        await self._answer.write(_prelude(self._start))
        return self._answer

    async def end(self, failure: Exception | None) -> None:
        """See the answer off; what failed after it was complete does not spoil it."""
        if self._answer is None:
            await self._api.report(self._invocation, failure or NoAnswerError())
            return
        if not self._complete:
            self._answer.finish(failure)
        await self._answer.taken(self._invocation.seconds_left - CLOSE_SECONDS)


def _prelude(start: Message) -> bytes:
    """Return status and headers as API Gateway reads them in front of a streamed body."""
    headers, repeated = handle_multi_value_headers(start.get("headers", []))
    status = {"statusCode": start["status"]}
    return compact_bytes({**status, "headers": headers, "multiValueHeaders": repeated}) + DELIMITER

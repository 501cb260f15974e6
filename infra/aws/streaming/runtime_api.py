"""A client of AWS Lambda's Runtime API: takes invocations, and sends answers while they are made.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and for streamed answers
runtimes-custom.html#runtimes-custom-response-streaming of the same guide. An exchange has a connection
of its own, as a streamed answer must; the other end is on this machine.
"""

import asyncio
import base64
import json
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httptools

from core.json_text import compact_bytes

PATH = "/2018-06-01/runtime"
READ_BYTES = 64 * 1024
ERROR_TYPE, ERROR_BODY = "Lambda-Runtime-Function-Error-Type", "Lambda-Runtime-Function-Error-Body"
INVOCATION_ID = "lambda-runtime-invocation-id"  # tells a late answer from one to a retried request
STREAMED = {
    "content-type": "application/vnd.awslambda.http-integration-response",
    "lambda-runtime-function-response-mode": "streaming",
    "transfer-encoding": "chunked",
    "trailer": f"{ERROR_TYPE}, {ERROR_BODY}",
}

log = logging.getLogger(__name__)


class RuntimeApiError(Exception):
    """The Runtime API cannot go on: the process has to end."""

    loggable = True


@dataclass(frozen=True, slots=True)
class Invocation:
    """An event, and what apps ask a Lambda context for: the request's id and the time that is left."""

    aws_request_id: str
    deadline_ms: int  # since 1970, when Lambda ends the invocation
    event: Any
    echoed: Mapping[str, str]  # headers that go back with the answer

    @property
    def seconds_left(self) -> float:
        """How long until Lambda ends the invocation."""
        return self.deadline_ms / 1000 - time.time()

    def get_remaining_time_in_millis(self) -> int:
        """Return the same in milliseconds, as apps ask a context for it."""
        return int(self.seconds_left * 1000)


class RuntimeApi:
    """Lambda's end of the invocations of this process. Its methods raise RuntimeApiError and OSError."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port or 80)

    async def next(self) -> Invocation:
        """Wait for an invocation, however long it takes."""
        reply = await self._exchange("GET", "/invocation/next")
        if reply.status != HTTPStatus.OK:
            raise RuntimeApiError(f"no invocation, but status {reply.status}")
        headers = reply.headers
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("lambda-runtime-trace-id", "")  # for X-Ray
        return Invocation(
            headers["lambda-runtime-aws-request-id"],
            int(headers["lambda-runtime-deadline-ms"]),
            json.loads(reply.body),
            {INVOCATION_ID: headers[INVOCATION_ID]} if INVOCATION_ID in headers else {},
        )

    async def report(self, invocation: Invocation, error: Exception) -> None:
        """Say that an invocation failed before its answer began."""
        path = f"/invocation/{invocation.aws_request_id}/error"
        await self._report(path, "Function", error, invocation.echoed)

    async def report_init(self, error: Exception) -> None:
        """Say that the function cannot be started."""
        await self._report("/init/error", "Runtime", error, {})

    async def begin(self, invocation: Invocation, gone: asyncio.Event) -> "StreamedAnswer":
        """Begin an answer in chunks; `gone` will be set if Lambda does not take it to its end."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        path = f"/invocation/{invocation.aws_request_id}/response"
        writer.write(self._head("POST", path, {**STREAMED, **invocation.echoed}))
        return StreamedAnswer(reader, writer, gone)

    async def _report(
        self, path: str, category: str, error: Exception, headers: Mapping[str, str]
    ) -> None:
        kind, body = _described(category, error)
        await self._exchange("POST", path, body, {ERROR_TYPE: kind, **headers})

    async def _exchange(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> "_Reply":
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            length = {"content-length": str(len(body))}
            writer.write(self._head(method, path, {**length, **(headers or {})}) + body)
            await writer.drain()
            return _checked(await _read_reply(reader))
        finally:
            writer.close()

    def _head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        fields = {"host": f"{self._host}:{self._port}", **headers}
        lines = [f"{method} {PATH}{path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


class StreamedAnswer:
    """An answer on its way to Lambda: chunks, and after the last, if need be, trailers of an error."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gone: asyncio.Event
    ) -> None:
        self._writer, self._gone = writer, gone
        self._reply = asyncio.create_task(_read_reply(reader))
        self._reply.add_done_callback(self._replied)

    def _replied(self, reply: "asyncio.Task[_Reply]") -> None:
        if (
            reply.cancelled()
            or reply.exception()
            or reply.result().status >= HTTPStatus.BAD_REQUEST
        ):
            self._gone.set()

    async def write(self, data: bytes) -> None:
        """Send a chunk, and wait while Lambda takes no more. Nothing is sent to one that has gone."""
        if not data or self._gone.is_set():  # a chunk without bytes would be the last
            return
        self._writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        with suppress(ConnectionError):  # the reply's end tells it, too
            await self._writer.drain()

    def finish(self, error: Exception | None = None) -> None:
        """Send the end, and what broke the answer off."""
        trailers = {} if error is None else _trailers(error)
        lines = (f"{name}: {value}\r\n" for name, value in trailers.items())
        self._writer.write(f"0\r\n{''.join(lines)}\r\n".encode())

    async def taken(self, seconds: float) -> None:
        """Wait until Lambda has taken all, for so long; then give the rest up. Raises RuntimeApiError."""
        try:
            async with asyncio.timeout(seconds):
                _checked(await self._reply)
        except (OSError, TimeoutError):
            log.info("an answer was not taken to its end")
        finally:
            self._writer.transport.abort()


class _Reply:
    """What the Runtime API answers, as httptools' parser tells it."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, dict[str, str](), bytearray()
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


async def _read_reply(reader: asyncio.StreamReader) -> _Reply:
    """Raise ConnectionError where it is cut off."""
    reply = _Reply()
    parser = httptools.HttpResponseParser(reply)
    while not reply.complete:
        data = await reader.read(READ_BYTES)
        if not data:
            raise ConnectionError
        parser.feed_data(data)
    reply.status = parser.get_status_code()
    return reply


def _checked(reply: _Reply) -> _Reply:
    """Raise RuntimeApiError for a status that means the end; others are of one invocation only."""
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RuntimeApiError(f"status {reply.status}")
    if reply.status >= HTTPStatus.BAD_REQUEST:
        log.warning("an answer was refused: status %d", reply.status)
    return reply


def _described(category: str, error: Exception) -> tuple[str, bytes]:
    """Return an error's type and document, without its text, which may repeat what others sent."""
    kind = f"{category}.{type(error).__name__}"
    document = {"errorType": kind, "errorMessage": "the log has the traceback", "stackTrace": []}
    return kind, compact_bytes(document)


def _trailers(error: Exception) -> dict[str, str]:
    kind, body = _described("Function", error)
    return {ERROR_TYPE: kind, ERROR_BODY: base64.b64encode(body).decode()}

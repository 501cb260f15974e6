"""Crewline's Python client: launch crews and see them work, from scripts and notebooks.

One module over httpx: copy it into your project.

    with Crewline("https://api.example.com", token) as crewline:
        file = crewline.upload("customers.csv")
        flow = crewline.launch("import_mapping", {"file": file})
        events = crewline.follow(flow)
        for event in events:
            print(event["type"], events.state)
        print(crewline.result(flow))

`AsyncCrewline` is the same with `await` and `async for`. Following yields every event once and in
order, whatever happens to connections: it comes back with its cursor, drops what it had, and asks
again where a number is missing. Where a network lets no stream through it long-polls, where that
does not work either it polls, and every now and then it tries the better way again.
"""

import asyncio
import codecs
import inspect
import json
import math
import random
import re
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote

import httpx  # noqa: TID253 -- the one library this module is made on

T = TypeVar("T")
Event = dict[str, Any]  # an AG-UI event
State = dict[str, Any]  # the snapshot of a flow; to be read, not changed
Token = str | Callable[[], str | Awaitable[str]]

INLINE_BYTES = 4 * 1024**2  # a larger input is put to a URL of its own
FILE_CHUNK_BYTES = 1024**2
STATES = 64  # snapshots that are remembered, to be asked for conditionally
ATTEMPTS = 5  # of a call; following goes on for ever
BACK_OFF_SECONDS = 0.5, 30.0  # after the first failure, doubled with each one; and at most
ASKED_SECONDS = 300.0  # the longest wait that a server may ask for
RETRY_SECONDS = 1.0  # between streams, until the server names a time
POLL_SECONDS = 2.0  # between polls, where the server names none
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
FIRST_BYTE_SECONDS = 10.0  # a stream begins at once, unless something on the way holds it back
SILENCE_SECONDS = 45.0  # three heartbeats
HOLD_SECONDS = 25  # of a long poll
APPEAR_SECONDS = 3.0  # a store that lags may not show a new flow for so long
STRIKES = 2  # failures of a way of reading before the next one is taken
CLIMB_SECONDS = 60.0, 900.0  # before the best way is tried again, doubled each time; and at most
WAYS = ("stream", "long-poll", "poll")
FINAL = ("RUN_FINISHED", "RUN_ERROR")
TERMINAL = ("succeeded", "failed", "cancelled")
REFUSED = (401, 403, 404)
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
TOO_MANY = 429  # streams of this user that the server holds already
GATEWAY_TIMEOUT = 504  # what a proxy says that will not wait for a stream
LINE_END = re.compile(r"\r\n|\r|\n")


class CrewlineError(Exception):
    """The API said no. `status` is HTTP's, `problem` its problem document (RFC 9457), if any."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: float) -> None:
        said = [str(problem[name]) for name in ("title", "detail", "errors") if name in problem]
        super().__init__(f"{status} {': '.join(said)}".strip())
        self.status, self.problem, self.retry_after = status, problem, retry_after


class FlowFailedError(Exception):
    """The flow ended without a result; `state` is its last one."""

    def __init__(self, state: State) -> None:
        super().__init__(state["error"] or f"the flow was {state['status']}")
        self.state = state


class _BrokenError(Exception):
    """What arrived cannot be what the API sent."""


class Message(NamedTuple):
    """One server-sent event."""

    id: str
    data: str


class SseParser:
    """From bytes, cut anywhere, to messages (HTML's living standard, 9.2.6). Does no I/O."""

    def __init__(self) -> None:
        self.retry_seconds: float | None = None
        self._text = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._line, self._after_cr = "", False
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> list[Message]:
        """Return the messages that are complete now."""
        text = self._text.decode(chunk)
        if not text:
            return []
        whole = text[1:] if self._after_cr and text[0] == "\n" else text
        self._after_cr = text[-1] == "\r"
        *lines, self._line = LINE_END.split(self._line + whole)
        return [message for line in lines if (message := self._take(line))]

    def _take(self, line: str) -> Message | None:
        if line:
            name, _, value = line.partition(":")
            self._field(name, value.removeprefix(" "))
            return None
        data, self._data = self._data, []
        return Message(self._id, "\n".join(data)) if data else None

    def _field(self, name: str, value: str) -> None:
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry_seconds = min(int(value[:9]) / 1000, ASKED_SECONDS)


def patched(state: Any, operations: list[dict[str, Any]]) -> Any:
    """Return the state after a JSON Patch of add, replace and remove (RFC 6902).

    The state before is left as it is; what did not change is shared. Raises AttributeError,
    LookupError, TypeError or ValueError for a patch that does not fit.
    """
    for operation in operations:
        keys = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")]
        state = _patched(state, keys[1:], operation)
    return state


def _patched(node: Any, keys: list[str], operation: dict[str, Any]) -> Any:
    if not keys:
        return operation["value"]
    copy = node.copy()
    key: Any = _index(node, keys[0]) if isinstance(node, list) else keys[0]
    if len(keys) > 1:
        copy[key] = _patched(copy[key], keys[1:], operation)
    elif operation["op"] == "remove":
        del copy[key]
    elif operation["op"] == "add" and isinstance(copy, list):
        copy.insert(key, operation["value"])
    else:
        copy[key] = operation["value"]
    return copy


def _index(node: Any, key: str) -> int:
    return len(node) if key == "-" else int(key)


@dataclass
class Progress:
    """How far a reader has come in a flow. Does no I/O.

    A cursor is `<incarnation>.<number>`; the numbers of events rise by one.
    """

    cursor: str | None = None
    state: State | None = None
    ended: bool = False

    def take(self, cursor: str, event: Event, *, opening: bool) -> bool:
        """Count an event in; return False for one that was seen. Raises _BrokenError for a gap.

        A snapshot may jump ahead. One that opens an answer is the server's word on a cursor that
        it could not use, so it is taken whatever its number.
        """
        (mine, last), (incarnation, number) = _place(self.cursor), _place(cursor)
        snapshot = event["type"] == "STATE_SNAPSHOT"
        if not (snapshot and opening):
            if incarnation == mine and number <= last:
                return False
            if not snapshot and (incarnation, number) != (mine or incarnation, last + 1):
                raise _BrokenError(f"event {cursor} came after {self.cursor}")
        self.cursor, self.ended = cursor, event["type"] in FINAL
        self._fold(event)
        return True

    def see(self, state: State) -> None:
        """Take a snapshot that was read on its own, unless it is older than what is known."""
        if self.state is None or state["version"] > self.state["version"]:
            self.state = state

    def _fold(self, event: Event) -> None:
        if event["type"] == "STATE_SNAPSHOT":
            self.state = event["snapshot"]
        elif event["type"] == "STATE_DELTA" and self.state is not None:
            versions = [o["value"] for o in event["delta"] if o["path"] == "/version"]
            if versions and versions[-1] <= self.state["version"]:
                return  # the snapshot was read after this had happened
            try:
                self.state = patched(self.state, event["delta"])
            except (AttributeError, LookupError, TypeError, ValueError):
                self.state = None  # it is read anew with the next connection


def _place(cursor: str | None) -> tuple[str, int]:
    incarnation, _, number = (cursor or "").rpartition(".")
    return (incarnation, int(number)) if incarnation and number.isdecimal() else ("", 0)


@dataclass
class Ladder:
    """Which way of reading the network lets through, best first: `WAYS`. Does no I/O.

    A client has one, and so remembers from flow to flow what did not work.
    """

    rung: int = 0
    strikes: int = 0
    climb_at: float = 0.0
    climb_seconds: float = CLIMB_SECONDS[0]

    def way(self, now: float) -> str:
        """Return the way to take; the best one again when it is time to try."""
        if self.rung and now >= self.climb_at:
            self.rung, self.strikes = 0, STRIKES - 1
        return WAYS[self.rung]

    def works(self, way: str) -> None:
        """Hear that bytes came this way."""
        if way == WAYS[self.rung]:
            self.strikes = 0
            self.climb_seconds = self.climb_seconds if self.rung else CLIMB_SECONDS[0]

    def fails(self, way: str, now: float, *, surely: bool) -> bool:
        """Hear that nothing came this way; step down if it happened before, or if it is sure.

        Return whether there is another way to take now.
        """
        if way != WAYS[self.rung] or way == WAYS[-1]:
            return way != WAYS[self.rung]
        self.strikes += 1
        if not surely and self.strikes < STRIKES:
            return False
        self.rung, self.strikes = self.rung + 1, 0
        self.climb_at = now + self.climb_seconds
        self.climb_seconds = min(2 * self.climb_seconds, CLIMB_SECONDS[1])
        return True


def back_off(failures: int) -> float:
    """Return a random wait in seconds after so many failures in a row: full jitter.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    first, most = BACK_OFF_SECONDS
    ceiling = min(most, first * 2 ** min(failures, 16)) if failures else 0.0
    return random.uniform(0, ceiling)  # noqa: S311 -- no secret


class AsyncCrewline:
    """The API as one tenant sees it. `token` is a text, or a function that is called for one.

    The function, async or not, is called at first and after each 401. Calls that fail in passing
    are made again, a launch under its key, so it launches once. Calls raise CrewlineError, and
    httpx.TransportError where there was no answer.
    """

    def __init__(self, url: str, token: Token) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"the API's address must begin with https:// or http://: {url!r}")
        self.ladder = Ladder()
        self._token, self._bearer = token, ""
        self._renewal = asyncio.Lock()
        self._states: dict[str, httpx.Response] = {}
        self._launched: dict[str, float] = {}  # path of a flow -> when, on the monotonic clock
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._http = httpx.AsyncClient(base_url=url, limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def upload(self, data: bytes | str | Path) -> str:
        """Store an input, from memory or from the file of this name; return its id."""
        size = _size(data)
        if size <= INLINE_BYTES:
            content = b"".join([chunk async for chunk in _chunks(data)])
            return (await self.call("POST", "/v1/inputs", content=content)).json()["id"]
        created = (await self.call("POST", "/v1/inputs", params={"size": size})).json()
        _check(
            await self._http.put(
                created["upload"]["url"],
                content=_chunks(data),
                headers={"content-length": str(size)},
                timeout=READ_SECONDS,
            )
        )
        return created["id"]

    async def launch(
        self, crew: str, inputs: dict[str, Any], idempotency_key: str | None = None
    ) -> str:
        """Launch a crew; return the flow's id. The same key names the same flow."""
        headers = {"idempotency-key": idempotency_key or secrets.token_hex(16)}
        body = {"crew": crew, "inputs": inputs}
        flow = (await self.call("POST", "/v1/flows", json=body, headers=headers)).json()["id"]
        now = time.monotonic()
        still_new = {path: at for path, at in self._launched.items() if at + APPEAR_SECONDS > now}
        self._launched = still_new | {path_of(flow): now}
        return flow

    async def state(self, flow: str) -> State:
        """Return the flow's snapshot; one that has not changed is not sent again."""
        known = self._states.pop(flow, None)
        headers = _unless(known.headers.get("etag", "") if known else "")
        answer = await self.call("GET", path_of(flow), headers=headers)
        if known and answer.status_code == httpx.codes.NOT_MODIFIED:
            answer = known
        self._states[flow] = answer
        if len(self._states) > STATES:
            del self._states[next(iter(self._states))]
        return answer.json()

    async def cancel(self, flow: str) -> State:
        """End a flow; return its state. Raises CrewlineError 409 if it has ended otherwise."""
        return (await self.call("POST", f"{path_of(flow)}/cancel")).json()

    async def resume(self, flow: str, *, review: str, approve: bool, feedback: str = "") -> State:
        """Answer a flow that waits for a person; return its state. Sent again, it is the same answer.

        `review` names the question: `state(flow)["waiting"]["review"]`. Raises CrewlineError: 409 if
        the flow does not wait with it, or has got another answer.
        """
        said = {"approve": approve, "feedback": feedback, "review": review}
        return (await self.call("POST", f"{path_of(flow)}/resume", json=said)).json()

    async def delete(self, flow: str) -> None:
        """Remove a flow that has ended; its inputs stay. Raises CrewlineError: 409 if it has not.

        One that is not there (any more) is no error.
        """
        self._states.pop(flow, None)
        self._launched.pop(path_of(flow), None)
        await self._delete(path_of(flow))

    async def delete_input(self, input_id: str) -> None:
        """Remove an upload; a flow that has yet to read it fails. One that is not there is no error."""
        await self._delete(f"/v1/inputs/{quote(input_id, safe='')}")

    async def _delete(self, path: str) -> None:
        try:
            await self.call("DELETE", path)
        except CrewlineError as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise

    def follow(self, flow: str, cursor: str | None = None) -> "AsyncEvents":
        """Return the flow's events after a cursor, or from its beginning, until it ends."""
        return AsyncEvents(self, flow, cursor)

    async def result(self, flow: str, timeout_seconds: float | None = None) -> Any:
        """Wait for the flow's end; return its output. Raises FlowFailedError, TimeoutError."""
        async with asyncio.timeout(timeout_seconds), aclosing(aiter(self.follow(flow))) as events:
            async for _ in events:
                pass
            state = await self.state(flow)
        if state["status"] != "succeeded":
            raise FlowFailedError(state)
        if "output_ref" in state:  # it is too large for a state
            return (await self.call("GET", f"{path_of(flow)}/output")).json()
        return state["output"]

    async def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Return an answer of the API, after some attempts if need be."""
        for failures in range(1, ATTEMPTS):
            try:
                return await self._called(method, path, request)
            except httpx.TransportError:
                await asyncio.sleep(back_off(failures))
            except CrewlineError as error:
                if error.status not in TRANSIENT and not self._may_appear(path, error.status):
                    raise
                await asyncio.sleep(error.retry_after + back_off(failures))
        return await self._called(method, path, request)

    def _may_appear(self, path: str, status: int) -> bool:
        """Whether a flow is not there only because this client launched it a moment ago."""
        flow = "/".join(path.split("/")[:4])  # /v1/flows/ID of /v1/flows/ID/cancel
        at = self._launched.get(flow, -math.inf)
        return status == httpx.codes.NOT_FOUND and time.monotonic() < at + APPEAR_SECONDS

    async def _called(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        async with self.open(method, path, **request) as answer:
            await answer.aread()
        return answer

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        read_seconds: float = READ_SECONDS,
        **request: Any,
    ) -> AsyncGenerator[httpx.Response]:
        """Open one answer of the API, with another token if this one is refused."""
        timeout = httpx.Timeout(CONNECT_SECONDS, read=read_seconds)
        refused = ""
        while True:
            bearer = await self._other_than(refused)
            sent = {**(headers or {}), "authorization": f"Bearer {bearer}"}
            opening = self._http.stream(method, path, headers=sent, timeout=timeout, **request)
            async with opening as answer:
                if answer.status_code == httpx.codes.UNAUTHORIZED and not refused:
                    refused = bearer
                    continue
                if answer.is_error:
                    await answer.aread()
                _check(answer)
                yield answer
                return

    async def _other_than(self, refused: str) -> str:
        """Return the token; a new one if this is what it was. Many may ask, one gets it."""
        async with self._renewal:
            if self._bearer == refused:
                token = self._token() if callable(self._token) else self._token
                self._bearer = await token if inspect.isawaitable(token) else token
            return self._bearer


class AsyncEvents:
    """A flow's events, for `async for`; whoever stops goes on from there by iterating again."""

    def __init__(self, client: AsyncCrewline, flow: str, cursor: str | None) -> None:
        self.way = WAYS[0]  # how it reads now: `WAYS`
        self._client, self._path = client, path_of(flow)
        self._appears_by = math.inf  # from the first failure on
        self._progress = Progress(cursor)
        self._etag = ""
        self._failures = 0
        self._heard = False
        self._retry_seconds = self._pause = RETRY_SECONDS

    @property
    def cursor(self) -> str | None:
        """Where the reader has come to: keep it, and `follow` goes on from it."""
        return self._progress.cursor

    @property
    def state(self) -> State | None:
        """The flow's snapshot as of now; None before the first one came."""
        return self._progress.state

    async def __aiter__(self) -> AsyncGenerator[Event]:
        """Yield every event once, in order. Raises CrewlineError if the flow may not be read.

        Where nothing but polling works, a change of the state is a STATE_SNAPSHOT.
        """
        while not self._progress.ended:
            self.way = self._client.ladder.way(time.monotonic())
            self._heard, self._pause = False, self._retry_seconds
            try:
                async with aclosing(self._read()) as events:
                    async for event in events:
                        self._failures = 0
                        yield event
                self._listened()
            except (httpx.TransportError, CrewlineError, TimeoutError, _BrokenError) as error:
                self._stumbled(error)
            if not self._progress.ended:
                await asyncio.sleep(self._pause + back_off(self._failures))

    def _listened(self) -> None:
        if not self._heard:
            raise _BrokenError("an answer without a byte")
        self._failures = 0

    def _hear(self) -> None:
        self._heard = True
        self._client.ladder.works(self.way)

    def _stumbled(self, error: Exception) -> None:
        """Learn from a failure how long to wait, and whether to take another way."""
        self._failures += 1
        status = error.status if isinstance(error, CrewlineError) else None
        self._appears_by = min(self._appears_by, time.monotonic() + APPEAR_SECONDS)
        if status == httpx.codes.NOT_FOUND and time.monotonic() < self._appears_by:
            return
        surely = status is not None and status not in TRANSIENT
        if surely and (status in REFUSED or self.way == WAYS[-1]):
            raise error
        surely |= status == TOO_MANY and self.way == "stream"
        if isinstance(error, CrewlineError):
            self._pause = max(self._pause, error.retry_after)
        outage = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) or (
            status in TRANSIENT and status != GATEWAY_TIMEOUT
        )
        if self._heard or (outage and not surely):
            return
        if self._client.ladder.fails(self.way, time.monotonic(), surely=surely):
            self._failures = 0
            self._pause = self._pause if status == TOO_MANY else 0.0

    def _read(self) -> AsyncGenerator[Event]:
        if self.way == "stream":
            return self._stream()
        return self._catch_up(HOLD_SECONDS) if self.way == "long-poll" else self._poll()

    async def _stream(self) -> AsyncGenerator[Event]:
        """Read one stream to its end."""
        await self._know_state()
        known = {"last-event-id": self.cursor} if self.cursor else {}
        headers = {"accept": "text/event-stream", "cache-control": "no-store", **known}
        opening = self._client.open(
            "GET", f"{self._path}/events", headers=headers, read_seconds=SILENCE_SECONDS
        )
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(FIRST_BYTE_SECONDS):
                answer = await stack.enter_async_context(opening)
                if answer.status_code == httpx.codes.NO_CONTENT:
                    self._hear()
                    self._progress.ended = True
                    return
                _require(answer, "text/event-stream")
                chunks = answer.aiter_bytes()
                chunk = await anext(chunks, b"")
            parser, opened = SseParser(), False
            while chunk:
                self._hear()
                for message in parser.feed(chunk):
                    event = _event(message.data)
                    if self._progress.take(message.id, event, opening=not opened):
                        yield event
                    opened = True
                self._pause = self._retry_seconds = parser.retry_seconds or self._retry_seconds
                chunk = b"" if self._progress.ended else await anext(chunks, b"")

    async def _know_state(self) -> None:
        """Read the state on its own if events alone would not tell it."""
        if self.cursor is not None and self.state is None:
            async with self._client.open("GET", self._path) as answer:
                await answer.aread()
            self._progress.see(_json(answer))

    async def _catch_up(self, hold_seconds: int) -> AsyncGenerator[Event]:
        """Read the log as JSON, page by page; wait if there is nothing yet."""
        asked, more = time.monotonic(), True
        while more and not self._progress.ended:
            answer = await self._page(hold_seconds)
            page = _json(answer)
            self._hear()
            found = _numbered(page)
            for cursor, event in found:
                if self._progress.take(cursor, event, opening="snapshot" in page):
                    yield event
            more, held = page["more"], time.monotonic() - asked > 1
            self._pause = 0.0 if found or held else retry_after(answer, POLL_SECONDS)
            self._progress.ended |= not found and page["status"] in TERMINAL

    async def _page(self, hold_seconds: int) -> httpx.Response:
        await self._know_state()
        headers = {"accept": "application/json", "prefer": f"wait={hold_seconds}"}
        opening = self._client.open(
            "GET",
            f"{self._path}/events",
            params={"after": self.cursor or "0"},
            headers=headers,
            read_seconds=hold_seconds + READ_SECONDS,
        )
        async with opening as answer:
            _require(answer, "application/json")
            await answer.aread()
        return answer

    async def _poll(self) -> AsyncGenerator[Event]:
        """Ask whether the state changed; if so, for the events, or else tell of the state."""
        async with self._client.open("GET", self._path, headers=_unless(self._etag)) as answer:
            await answer.aread()
        self._hear()
        if answer.status_code != httpx.codes.NOT_MODIFIED:
            state = _json(answer)
            try:
                async with aclosing(self._catch_up(0)) as events:
                    async for event in events:
                        yield event
            except (_BrokenError, CrewlineError) as error:
                if isinstance(error, CrewlineError) and error.status in TRANSIENT + REFUSED:
                    raise
                yield {"type": "STATE_SNAPSHOT", "snapshot": state}
            self._progress.see(state)
            self._progress.ended |= state["status"] in TERMINAL
            self._etag = answer.headers.get("etag", "")
        self._pause = retry_after(answer, POLL_SECONDS)


class Crewline:
    """`AsyncCrewline` for those who do not await: each call returns when it is done.

    Its event loop has a thread of its own, so it works in a notebook, which runs one already.
    """

    def __init__(self, url: str, token: Token) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="crewline", daemon=True)
        self._thread.start()
        self._client = AsyncCrewline(url, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread."""
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def upload(self, data: bytes | str | Path) -> str:
        """See `AsyncCrewline.upload`."""
        return self._run(self._client.upload(data))

    def launch(self, crew: str, inputs: dict[str, Any], idempotency_key: str | None = None) -> str:
        """See `AsyncCrewline.launch`."""
        return self._run(self._client.launch(crew, inputs, idempotency_key))

    def state(self, flow: str) -> State:
        """See `AsyncCrewline.state`."""
        return self._run(self._client.state(flow))

    def cancel(self, flow: str) -> State:
        """See `AsyncCrewline.cancel`."""
        return self._run(self._client.cancel(flow))

    def resume(self, flow: str, *, review: str, approve: bool, feedback: str = "") -> State:
        """See `AsyncCrewline.resume`."""
        answer = self._client.resume(flow, review=review, approve=approve, feedback=feedback)
        return self._run(answer)

    def delete(self, flow: str) -> None:
        """See `AsyncCrewline.delete`."""
        self._run(self._client.delete(flow))

    def delete_input(self, input_id: str) -> None:
        """See `AsyncCrewline.delete_input`."""
        self._run(self._client.delete_input(input_id))

    def follow(self, flow: str, cursor: str | None = None) -> "Events":
        """See `AsyncCrewline.follow`; for a plain `for`."""
        return Events(self._run, self._client, flow, cursor)

    def result(self, flow: str, timeout_seconds: float | None = None) -> Any:
        """See `AsyncCrewline.result`."""
        return self._run(self._client.result(flow, timeout_seconds))

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """See `AsyncCrewline.call`."""
        return self._run(self._client.call(method, path, **request))

    def _run(self, job: Coroutine[Any, Any, T]) -> T:
        """Return what the job returns; whoever interrupts the wait ends the job."""
        future = asyncio.run_coroutine_threadsafe(job, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()


class Events(AsyncEvents):
    """A flow's events, for a plain `for` as well."""

    def __init__(
        self,
        run: Callable[[Coroutine[Any, Any, Any]], Any],
        client: AsyncCrewline,
        flow: str,
        cursor: str | None,
    ) -> None:
        super().__init__(client, flow, cursor)
        self._run = run

    def __iter__(self) -> Iterator[Event]:
        """Yield as `AsyncEvents` does."""
        events, one_at_a_time = aiter(self), asyncio.Lock()

        async def following() -> Event | None:
            async with one_at_a_time:
                return await anext(events, None)

        async def closed() -> None:
            async with one_at_a_time:
                await events.aclose()

        try:
            while (event := self._run(following())) is not None:
                yield event
        finally:
            self._run(closed())


def path_of(flow: str) -> str:
    """Return the flow's path in the API."""
    return f"/v1/flows/{quote(flow, safe='')}"


def _unless(etag: str) -> dict[str, str]:
    """Return the header that asks only for a state which is not this one."""
    return {"if-none-match": etag} if etag else {}


def retry_after(answer: httpx.Response, default: float) -> float:
    """Return the seconds that Retry-After asks for, as a number or a date (RFC 9110, 10.2.3)."""
    text = answer.headers.get("retry-after", "")
    if text.isascii() and text.isdecimal():
        return min(float(text), ASKED_SECONDS)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        return default
    return min(max(seconds, 0.0), ASKED_SECONDS)


def _check(answer: httpx.Response) -> None:
    """Raise CrewlineError unless the answer, which was read if it is an error, says yes."""
    if answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED:
        return
    try:
        problem = answer.json()
    except (ValueError, httpx.ResponseNotRead):
        problem = None
    told = problem if isinstance(problem, dict) else {"title": answer.reason_phrase}
    raise CrewlineError(answer.status_code, told, retry_after(answer, 0.0))


def _require(answer: httpx.Response, media_type: str) -> None:
    if not answer.headers.get("content-type", "").startswith(media_type):
        raise _BrokenError(f"the answer is no {media_type}")


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise _BrokenError("the answer is not JSON") from error


def _event(data: str) -> Event:
    try:
        event = json.loads(data)
    except ValueError as error:
        raise _BrokenError("an event is not JSON") from error
    if not isinstance(event, dict) or "type" not in event:
        raise _BrokenError("an event has no type")
    return event


def _numbered(page: dict[str, Any]) -> list[tuple[str, Event]]:
    """Return the events of a page with their cursors."""
    if "snapshot" in page:
        return [(page["cursor"], {"type": "STATE_SNAPSHOT", "snapshot": page["snapshot"]})]
    incarnation, last = _place(page["cursor"])
    first = last + 1 - len(page["events"])
    return [(f"{incarnation}.{n}", event) for n, event in enumerate(page["events"], first)]


def _size(data: bytes | str | Path) -> int:
    return len(data) if isinstance(data, bytes) else Path(data).stat().st_size


async def _chunks(data: bytes | str | Path) -> AsyncGenerator[bytes]:
    """Yield an input in parts that fit into memory."""
    if isinstance(data, bytes):
        yield data
        return
    with await asyncio.to_thread(Path(data).open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, FILE_CHUNK_BYTES):
            yield chunk

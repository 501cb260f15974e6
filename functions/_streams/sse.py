"""Server-sent events: frames as an EventSource reads them, and the answer that carries them.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html. Many clients keep to it only
in part, so that frames are written for them too:

- The data stand before the id. A client may move its cursor as soon as it reads an id; an event
  that is cut off before its end then comes again.
- Nothing but an event ends with an empty line. A client may hand on an empty message for any other
  one, and JSON.parse("") throws. So `retry:` and heartbeats are lines of the event that follows.
- The content type has no charset, as some compare it with ===; the encoding is always UTF-8.
- A line ends at CR or LF alone. Readers that split with Python's str.splitlines, as httpx' iter_lines
  does, end it at NEL, LS and PS too: these stand in the data as JSON's escapes.
- `no-transform` keeps compressing proxies from holding events back until they have enough of them. Those
  that do not heed it (Caddy) leave alone what says a coding, and `identity` is none. RFC 9110, 8.4.1, would
  rather not see it; no client is known that minds.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from functions._http import apps

LINE_END = re.compile(r"\r\n|\r|\n")
OTHER_LINE_ENDS = {"\x85": r"\u0085", "\u2028": r"\u2028", "\u2029": r"\u2029"}  # in JSON's texts
ID = re.compile(r"[!-~]{1,512}")  # an empty id would clear the cursor, one with NUL is ignored
HEARTBEAT = b":\n"
MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "content-type": MEDIA_TYPE,
    "cache-control": "no-store, no-transform",
    "content-encoding": "identity",
    "x-accel-buffering": "no",  # nginx must not hold anything back
}


def event(data: str, event_id: str) -> bytes:
    """Return one event of the default type, `message`; its data is JSON.

    Raises ValueError for a bad id.
    """
    if not ID.fullmatch(event_id):
        raise ValueError("an event's id must be printable ASCII without spaces")
    for character, escape in OTHER_LINE_ENDS.items():
        data = data.replace(character, escape)
    lines = "".join(f"data: {line}\n" for line in LINE_END.split(data))
    return f"{lines}id: {event_id}\n\n".encode("utf-8", "replace")


def retry(milliseconds: int) -> bytes:
    """Return the line that says how long to wait before coming back."""
    return f"retry: {milliseconds}\n".encode()


def comment(text: str) -> bytes:
    """Return a line for people who read the stream; clients pass it over."""
    return f": {text}\n".encode()


class EventStream(StreamingResponse):
    """An answer of frames, and what it holds open (a place, subscribers) until it has been sent.

    When the client goes, the source is closed at once, not some day.
    """

    def __init__(self, frames: AsyncGenerator[bytes], held: AsyncExitStack | None = None) -> None:
        super().__init__(frames, headers=HEADERS)
        self._frames = frames
        self._held = held or AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            if apps.buffers(scope):  # nobody can leave, and what waits for that loads slowly
                await self.stream_response(send)
            else:
                await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the frames."""
        async with aclosing(self._frames):
            await super().stream_response(send)

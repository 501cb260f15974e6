"""Server-sent events: frames as an EventSource reads them, and the answer that carries them.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html. A frame is written whole
and ends with an empty line, so a stream cut inside one never moves a reader's cursor.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

LINE_END = re.compile(r"\r\n|\r|\n")
ID = re.compile(r"[!-~]{1,512}")  # an empty id would clear the cursor, one with NUL is ignored
HEARTBEAT = b":\n\n"
MEDIA_TYPE = "text/event-stream"
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # the last: nginx must not hold


def event(data: str, event_id: str) -> bytes:
    """Return one event of the default type, `message`. Raises ValueError for a bad id."""
    if not ID.fullmatch(event_id):
        raise ValueError("an event's id must be printable ASCII without spaces")
    lines = "".join(f"data: {line}\n" for line in LINE_END.split(data))
    return f"id: {event_id}\n{lines}\n".encode("utf-8", "replace")


def retry(milliseconds: int) -> bytes:
    """Return the frame that says how long to wait before coming back."""
    return f"retry: {milliseconds}\n\n".encode()


class EventStream(StreamingResponse):
    """An answer of frames, and what it holds open (a place, viewers) until it has been sent.

    When the client goes, the source is closed at once, not some day.
    """

    def __init__(self, frames: AsyncGenerator[bytes], held: AsyncExitStack | None = None) -> None:
        super().__init__(frames, headers=HEADERS, media_type=MEDIA_TYPE)
        self._frames = frames
        self._held = held or AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the frames."""
        async with aclosing(self._frames):
            await super().stream_response(send)

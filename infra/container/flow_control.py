"""HTTP/2 flow control that reaches the app: a client that does not read cannot fill our memory.

hypercorn 0.18 holds a stream's app back while 32 kB of it are unsent, but lets it go on with every
try to send, also where the client's window is shut and the try sends nothing: all that an app has
to say piles up. And when a connection is lost, an app that was held back waits for ever. Both have
one line here; tests/hosts/test_http2.py tells when hypercorn no longer needs them.
"""

import hypercorn.protocol
from hypercorn.events import Closed, Event
from hypercorn.protocol import h2


class _Buffer(h2.StreamBuffer):
    """What one stream has not sent yet."""

    async def pop(self, max_length: int) -> bytes:
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if len(self.buffer) < h2.BUFFER_LOW_WATER:  # hypercorn: if len(data) is
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data


class _Connection(h2.H2Protocol):
    """One connection, and the buffers of its streams."""

    async def handle(self, event: Event) -> None:
        await super().handle(event)
        if isinstance(event, Closed):
            for buffer in self.stream_buffers.values():
                await buffer.close()


def install() -> None:
    """Have hypercorn make these in the place of its own; once, before it serves."""
    h2.StreamBuffer = _Buffer
    hypercorn.protocol.H2Protocol = _Connection  # pyright: ignore[reportPrivateImportUsage] -- where it is looked up

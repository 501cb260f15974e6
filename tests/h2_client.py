"""An HTTP/2 client that leaves what it receives unread, as far as flow control knows."""

import asyncio
import contextlib

import h2.connection
import h2.events


class Client:
    """An HTTP/2 client that opens the window of no stream but those it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.http = h2.connection.H2Connection()
        self.http.initiate_connection()
        self.http.increment_flow_control_window(2**30)  # of the connection as a whole
        self.received: dict[int, int] = {}

    def get(self, stream: int) -> None:
        head = {":method": "GET", ":path": "/", ":scheme": "https", ":authority": "localhost"}
        self.http.send_headers(stream, list(head.items()), end_stream=True)
        self.received[stream] = 0

    async def read(self, *, to: int) -> None:
        """Read for half a second, with the window of one stream open."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                while True:
                    self.writer.write(self.http.data_to_send())
                    for event in self.http.receive_data(await self.reader.read(65536)):
                        if isinstance(event, h2.events.DataReceived):
                            self._received(event, to)

    def _received(self, event: h2.events.DataReceived, opened: int) -> None:
        assert event.stream_id is not None
        self.received[event.stream_id] += len(event.data or b"")
        if event.stream_id == opened:
            self.http.acknowledge_received_data(event.flow_controlled_length or 0, opened)

"""A proxy in front of the REST gateway on which a request goes wrong in every way that HTTP knows.

A fault strikes before the command was executed, or after it: then the caller cannot know that its
write is done. Only commands go wrong here; subscriptions pass.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.proxy import connect, listening, message

KINDS = ("500", "429", "hang", "half", "reset")
HANG_SECONDS = 30.0  # longer than any client waits
Verdict = tuple[str, bool]  # the fault ("" is none), and whether it strikes after execution


@dataclass
class Faults:
    """Which share of the commands goes wrong, how, and at most how many of them hang.

    A command that hangs takes its caller three seconds.
    """

    rng: random.Random
    kinds: tuple[str, ...] = KINDS
    share: float = 0.15
    hangs: int = 2
    when: tuple[bool, ...] = (False, True)
    done: Counter[Verdict] = field(default_factory=Counter[Verdict])

    def __call__(self) -> Verdict:
        kind = self.rng.choice(self.kinds) if self.rng.random() < self.share else ""
        if kind == "hang" and not self.hangs:
            kind = ""
        self.hangs -= kind == "hang"
        verdict = (kind, self.rng.choice(self.when))
        self.done[verdict] += 1
        return verdict


@asynccontextmanager
async def rough_network(url: str, faults: Callable[[], Verdict]) -> AsyncIterator[str]:
    """Yield the URL of a proxy to `url`."""
    open_ = set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(asyncio.current_task() or asyncio.create_task(asyncio.sleep(0)))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            upstream = await connect(url)
            try:
                await _relay(reader, writer, *upstream, faults)
            finally:
                upstream[1].close()
        writer.close()

    try:
        async with listening(serve) as own_url:
            yield own_url
    finally:
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    up_reader: asyncio.StreamReader,
    up_writer: asyncio.StreamWriter,
    faults: Callable[[], Verdict],
) -> None:
    """Serve one connection until it is broken or a side hangs up."""
    while True:
        request = await message(reader)
        if request.startswith(b"GET"):
            up_writer.write(request)
            return await _passed_on(up_reader, writer)
        fault, after = faults()
        answer = b""
        if after or not fault:
            up_writer.write(request)
            answer = await message(up_reader)
        if not await _answered(fault, answer, writer):
            return None


async def _answered(fault: str, answer: bytes, writer: asyncio.StreamWriter) -> bool:
    """Answer as the fault has it; False if the connection is no more."""
    match fault:
        case "500" | "429" | "503":
            body = b'{"error":"ERR try again"}'
            length = b"content-length: %d\r\n\r\n" % len(body)
            writer.write(b"HTTP/1.1 %d No\r\n%s%s" % (int(fault), length, body))
            return True
        case "close":
            return False
        case "hang":
            await asyncio.sleep(HANG_SECONDS)
        case "half":
            whole = answer or b'HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"result":"OK"}     '
            writer.write(whole[: whole.index(b"\r\n\r\n") + 9])
            await writer.drain()
        case "reset":
            linger = struct.pack("ii", 1, 0)  # closing sends RST
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        case _:
            writer.write(answer)
            return True
    return False


async def _passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)

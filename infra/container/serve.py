"""The HTTP functions in a container: TLS and HTTP/2, so that a client's streams share a connection.

    CREWLINE_TLS_CERTIFICATE=tls.crt CREWLINE_TLS_KEY=tls.key python -m infra.container.serve

Over HTTP/1.1 a browser opens six connections to an origin, and six streams leave none for a poll;
over HTTP/2 hundreds of streams and the polls between them take one. CREWLINE_PORT chooses another
port than 8443; hosts of containers that name it PORT are understood. Without a certificate it serves
HTTP/1.1 and HTTP/2 in the clear, for a load balancer that ends TLS. SIGTERM stops the host within two
seconds, also with streams open.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.server.embed import Server
from starlette.types import ASGIApp

from core import bootstrap
from core.config import Settings, SettingsError
from infra.api import app
from infra.container.fair_starts import FairStarts
from infra.draining import Draining

TLS = ("CREWLINE_TLS_CERTIFICATE", "CREWLINE_TLS_KEY")
LAST_PORT = 65_535
STREAMS = 256  # of one connection at a time
ANSWERS = 10_000  # of the process at a time, streams included; more wait to be taken
THREADS = 2  # of TLS and HTTP: in one, all connections wait for the handshakes of a few
WINDOW_BYTES, SEND_BYTES = 64 * 1024, 64 * 1024  # in flight of one stream, and unsent behind it
HEADER_BYTES, HEADER_SECONDS = 32 * 1024, 10
PING_SECONDS = 20  # of silence on a connection, before it is asked whether it lives
GRACE_SECONDS = 1.2  # for answers under way when the host stops
SWITCH_SECONDS = 0.001  # the event loop waits so long for a thread that reckons (core/cpu.py)
GOODBYE_SECONDS = 0.3  # for connections to be closed in due form


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the host listens, and with which certificate; with none it speaks in the clear."""

    port: int
    certificate: Path | None
    key: Path | None


def main(environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    try:
        Settings.from_environ(environ).token_keys()  # or the first request would find out
        listening = read(environ)
    except SettingsError as error:
        print(f"crewline: {error}", file=sys.stderr)
        return 1
    bootstrap.blobs()  # boto3 takes 200 ms to be loaded: not while somebody waits for a poll
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what is loaded stays: a collection that looks through it holds all up for 50 ms
    asyncio.run(_serve_until_told(listening))
    return 0


def read(environ: Mapping[str, str]) -> Listening:
    """Return where to listen. Raises SettingsError."""
    name = "CREWLINE_PORT" if environ.get("CREWLINE_PORT") else "PORT"
    port = environ.get(name) or "8443"
    if not port.isdecimal() or not 0 < int(port) <= LAST_PORT:
        raise SettingsError(f"{name} must be a port number")
    if not any(environ.get(name) for name in TLS):
        return Listening(int(port), None, None)
    certificate, key = (_file(environ, name) for name in TLS)
    return Listening(int(port), certificate, key)


def _file(environ: Mapping[str, str], name: str) -> Path:
    path = Path(environ.get(name) or "")
    if not path.is_file():
        raise SettingsError(f"{name} must name a PEM file")
    return path


async def _serve_until_told(listening: Listening) -> None:
    stopping = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    await serve(app, listening, stopping)
    # All is said. What is left are connections whose other end does not take its leave; the kernel
    # closes them.
    os._exit(0)


async def serve(app: ASGIApp, listening: Listening, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set and the answers under way have ended, or GRACE_SECONDS longer."""
    # Granian types every message, Starlette none.
    draining: Any = Draining(FairStarts(app), stopping)
    server = _server(draining, listening)
    drained = asyncio.create_task(draining.drained(GRACE_SECONDS))
    serving = asyncio.create_task(server.serve())
    await asyncio.wait({serving, drained}, return_when=asyncio.FIRST_COMPLETED)
    server.stop()
    await asyncio.wait({serving}, timeout=GOODBYE_SECONDS)
    drained.cancel()
    if not serving.cancel():
        serving.result()


def _server(app: ASGIApp, listening: Listening) -> Server:
    return Server(
        app,
        address="0.0.0.0",  # noqa: S104 -- a container is reached from outside
        port=listening.port,
        interface=Interfaces.ASGINL,
        backpressure=ANSWERS,
        runtime_threads=THREADS,
        websockets=False,
        ssl_cert=listening.certificate,
        ssl_key=listening.key,
        log_level=LogLevels.error,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000),
        http2_settings=HTTP2Settings(
            initial_stream_window_size=WINDOW_BYTES,
            keep_alive_interval=PING_SECONDS * 1000,
            max_concurrent_streams=STREAMS,
            max_headers_size=HEADER_BYTES,
            max_send_buffer_size=SEND_BYTES,
        ),
    )


if __name__ == "__main__":
    sys.exit(main(os.environ))

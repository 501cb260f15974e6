"""The HTTP functions in a container: TLS and HTTP/2, so that a client's streams share a connection.

    CREWLINE_TLS_CERTIFICATE=tls.crt CREWLINE_TLS_KEY=tls.key python -m infra.container.serve

Over HTTP/1.1 a browser opens six connections to an origin, and six streams leave none for a poll;
over HTTP/2 a hundred streams and the polls between them take one. CREWLINE_PORT chooses another
port than 8443. SIGTERM stops the host within two seconds, also with streams open.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypercorn.asyncio
from hypercorn.config import Config
from starlette.types import ASGIApp

from core.config import Settings, SettingsError
from infra.container import flow_control
from infra.container.draining import Draining
from infra.local.api import app

STREAMS = 256  # of one connection at a time
REQUESTS = 1_000_000  # of one connection: at the last, all of its streams are cut
IDLE_SECONDS = 75  # more than the longest Retry-After of a flow
HANDSHAKE_SECONDS = 10
GRACE_SECONDS = 1.2  # for answers under way when the host stops
GOODBYE_SECONDS = 0.3  # for connections to be closed in due form


def main(environ: Mapping[str, str]) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    try:
        Settings.from_environ(environ)  # or the first request would be the one to find out
        chosen = config(environ)
    except SettingsError as error:
        print(f"crewline: {error}", file=sys.stderr)
        return 1
    asyncio.run(_serve_until_told(chosen))
    return 0


def config(environ: Mapping[str, str]) -> Config:
    """Return how hypercorn serves. Raises SettingsError."""
    chosen = Config()
    port = environ.get("CREWLINE_PORT", "8443")
    if not port.isdecimal():
        raise SettingsError("CREWLINE_PORT must be a port number")
    chosen.bind = [f"0.0.0.0:{port}"]
    chosen.certfile = _file(environ, "CREWLINE_TLS_CERTIFICATE")
    chosen.keyfile = _file(environ, "CREWLINE_TLS_KEY")
    chosen.h2_max_concurrent_streams = STREAMS
    chosen.keep_alive_max_requests = REQUESTS
    chosen.keep_alive_timeout = IDLE_SECONDS
    chosen.ssl_handshake_timeout = HANDSHAKE_SECONDS
    chosen.include_server_header = False
    chosen.loglevel = "WARNING"
    return chosen


def _file(environ: Mapping[str, str], name: str) -> str:
    path = environ.get(name)
    if path is None or not Path(path).is_file():
        raise SettingsError(f"{name} must name a PEM file")
    return path


async def _serve_until_told(chosen: Config) -> None:
    stopping = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    await serve(app, chosen, stopping)
    # All is said. What is left are connections whose other end does not take its leave, for which
    # asyncio would wait 30 s; the kernel closes them.
    os._exit(0)


async def serve(app: ASGIApp, chosen: Config, stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set and the answers under way have ended, or GRACE_SECONDS longer."""
    flow_control.install()
    draining: Any = Draining(app, stopping)  # hypercorn types every message, Starlette none
    drained = asyncio.create_task(draining.drained(GRACE_SECONDS))
    serving = asyncio.create_task(
        hypercorn.asyncio.serve(draining, chosen, shutdown_trigger=lambda: asyncio.shield(drained))
    )
    await asyncio.wait({serving, drained}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({serving}, timeout=GOODBYE_SECONDS)
    drained.cancel()
    if not serving.cancel():
        serving.result()


if __name__ == "__main__":
    sys.exit(main(os.environ))

"""The gateway as a process.

UPSTASH_REDIS_REST_TOKEN=... python -m infra.local.gateway --port 8079 --redis 127.0.0.1:6379
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from types import FrameType

import uvicorn

from infra.local.gateway import TOKEN_VARIABLE
from infra.local.gateway.app import Gateway
from infra.local.gateway.replica import Address


class _Server(uvicorn.Server):
    """Ends open streams when it is told to stop, so that stopping does not wait for subscribers."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                gateway,
                host="127.0.0.1",
                port=port,
                http="httptools",
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._gateway = gateway

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        asyncio.get_running_loop().call_soon_threadsafe(self._gateway.close_streams)


def main(argv: list[str], environ: Mapping[str, str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.local.gateway", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port to listen on, on 127.0.0.1")
    parser.add_argument("--redis", required=True, metavar="HOST:PORT", help="the server behind it")
    parser.add_argument(
        "--replica", metavar="HOST:PORT", help="an empty server, to be made a replica that lags"
    )
    parser.add_argument(
        "--adjustable", action="store_true", help="serve /-/conditions: lag, refusals, limits"
    )
    arguments = parser.parse_args(argv)
    if not (token := environ.get(TOKEN_VARIABLE)):
        parser.error(f"set {TOKEN_VARIABLE} to the token that clients will send")
    replica = _address(arguments.replica) if arguments.replica else None
    redis, adjustable = _address(arguments.redis), arguments.adjustable
    gateway = Gateway(redis, token, replica=replica, adjustable=adjustable)
    _Server(gateway, arguments.port).run()


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)

"""Fetching an issuer's keys from a real server: what is taken, and what is given up in time."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.adapters.http_jwks import DOCUMENT_BYTES, TIMEOUT_SECONDS, HttpJwks
from core.errors import UnavailableError
from infra.local.processes import free_port

DOCUMENT = b'{"keys": []}'


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path:
            case "/jwks?of=all":
                self._answer(200, DOCUMENT)
            case "/moved":
                self.send_response(302)
                self.send_header("location", "/jwks?of=all")
                self.end_headers()
            case "/long":
                self._answer(200, b" " * (DOCUMENT_BYTES + 1))
            case "/silent":
                time.sleep(TIMEOUT_SECONDS + 1)
            case "/slow":
                self.send_response(200)
                self.end_headers()
                for _ in range(int(TIMEOUT_SECONDS * 2) + 2):
                    self.wfile.write(b" ")
                    time.sleep(0.5)
            case _:
                self._answer(404, b"none")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name there
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            super().handle()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def test_the_document_is_fetched_from_the_very_address(server: str):
    fetch = HttpJwks(f"{server}/jwks?of=all")
    assert [await fetch() for _ in range(2)] == [DOCUMENT] * 2


@pytest.mark.parametrize("path", ["/moved", "/long", "/none"])
async def test_a_redirect_a_long_document_and_an_error_are_told_as_what_passes(
    server: str, path: str
):
    with pytest.raises(UnavailableError, match="issuer"):
        await HttpJwks(server + path)()


@pytest.mark.parametrize("path", ["/silent", "/slow"])
async def test_nobody_waits_longer_than_the_limit(server: str, path: str):
    begun = time.monotonic()
    with pytest.raises(UnavailableError, match="issuer"):
        await HttpJwks(server + path)()
    assert time.monotonic() - begun < TIMEOUT_SECONDS + 1


async def test_where_nobody_listens_it_is_said_at_once():
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await HttpJwks(f"http://127.0.0.1:{free_port()}/jwks")()

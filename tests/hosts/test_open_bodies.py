"""Bodies that never end, over real connections to the container: they are bounded in time and number."""

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import NamedTuple

import h2.connection
import h2.events
import pytest

from functions._http.open_bodies import BYTES_PER_SUBJECT
from infra.local.processes import Processes, free_port, is_listening
from tests.certificate import Certificate, self_signed
from tests.fixtures_api import Api, process_environ
from tests.fixtures_servers import Rest

BODY_SECONDS = 2
LARGEST = 4 * 1024**2
NAME = "open-bodies"


class Server(NamedTuple):
    """A container, and a way to reach it."""

    api: Api
    port: int
    certificate: Certificate

    async def connected(self, protocol: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = self.certificate.trust()
        context.set_alpn_protocols([protocol])
        return await asyncio.open_connection("localhost", self.port, ssl=context)


class Answer(NamedTuple):
    status: int
    head: str
    problem: dict[str, object]


CUT = Answer(0, "", {})


@pytest.fixture(scope="module")
def server(
    processes: Processes, gateway: Rest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    port, certificate = free_port(), self_signed(tmp_path_factory.mktemp("tls"))
    environ = {
        **process_environ(gateway),
        "CREWLINE_BODY_SECONDS": str(BODY_SECONDS),
        "CREWLINE_PORT": str(port),
        "CREWLINE_TLS_CERTIFICATE": str(certificate.certificate),
        "CREWLINE_TLS_KEY": str(certificate.key),
    }
    processes.start(NAME, [sys.executable, "-m", "infra.container.serve"], environ=environ)
    processes.wait_until(NAME, lambda: is_listening(port), 30)
    yield Server(Api(f"https://localhost:{port}"), port, certificate)
    processes.stop(NAME)


async def over_http1(server: Server, path: str, sent: int, tenant: str) -> Answer:
    """Send the beginning of the largest body, wait for the answer and for the connection's end."""
    reader, writer = await server.connected("http/1.1")
    token = server.api.auth(tenant)["authorization"]
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {LARGEST}\r\n\r\n".encode()
    )
    try:
        writer.write(b"x" * sent)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        rest = await reader.read()  # to the end of the connection
    except (ConnectionError, asyncio.IncompleteReadError):
        return CUT  # what was sent on meanwhile can take the answer away
    finally:
        writer.close()
    body = rest[rest.index(b"{") : rest.rindex(b"}") + 1]
    return Answer(int(head.split(" ")[1]), head.lower(), json.loads(body))


async def over_http2(server: Server, path: str, sent: int, tenant: str) -> Answer:
    reader, writer = await server.connected("h2")
    http = h2.connection.H2Connection()
    http.initiate_connection()
    head = {":method": "POST", ":path": path, ":scheme": "https", ":authority": "localhost"}
    more = {**server.api.auth(tenant), "content-type": "application/json"}
    http.send_headers(1, [*head.items(), *more.items()])
    http.send_data(1, b"x" * min(sent, 16_000))
    found, body = {}, b""
    try:
        while True:
            writer.write(http.data_to_send())
            for event in http.receive_data(await reader.read(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    found = {name.decode(): value.decode() for name, value in event.headers or ()}
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data or b""
                elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                    return Answer(int(found[":status"]), str(found), json.loads(body))
    finally:
        writer.close()


@pytest.mark.parametrize("send", [over_http1, over_http2])
@pytest.mark.parametrize("path", ["/v1/inputs", "/v1/agui/research_brief", "/v1/events/ticket"])
async def test_a_body_that_does_not_end_is_answered_in_time(
    server: Server, send: object, path: str
):
    async with asyncio.timeout(BODY_SECONDS + 8):
        answer = await send(server, path, 1000, "acme")  # pyright: ignore[reportCallIssue]
    assert answer.status in {408, 413}
    assert "application/problem+json" in answer.head
    if path == "/v1/inputs":
        assert (answer.status, answer.problem["detail"]) == (408, "the body did not arrive in time")


async def test_one_subject_has_so_much_of_open_bodies_and_others_have_theirs(server: Server):
    at_once = BYTES_PER_SUBJECT // LARGEST + 4
    sending = [over_http1(server, "/v1/inputs", LARGEST - 1000, "loud") for _ in range(at_once)]
    async with asyncio.timeout(30):
        *loud, quiet = await asyncio.gather(
            *sending, over_http1(server, "/v1/inputs", LARGEST - 1000, "quiet")
        )
    statuses = [answer.status for answer in loud]
    assert quiet.status == 408
    assert 429 in statuses
    assert len(statuses) - statuses.count(408) >= 3
    assert all("retry-after" in answer.head for answer in loud if answer.status == 429)


async def test_what_a_subject_had_open_is_free_again_when_it_ends(server: Server):
    for _ in range(2):
        sending = [over_http1(server, "/v1/inputs", LARGEST - 1000, "again") for _ in range(6)]
        async with asyncio.timeout(30):
            assert {answer.status for answer in await asyncio.gather(*sending)} == {408}

"""Posting over real sockets: who is called, who is not, and what counts as told."""

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

from core.adapters.http_webhooks import HttpWebhookSender
from core.webhooks.sender import UndeliveredError
from core.webhooks.targets import Target, Targets
from tests.certificate import self_signed
from tests.fixtures_servers import unavailable
from tests.webhook_parts import OK, OOPS, Receiver, receiving

HEADERS = {"webhook-id": "f.1.2.task"}


def to(receiver: Receiver, path: str = "/hook?a=b") -> Target:
    return Targets(receiver.hosts).target("acme", receiver.url + path)


def at(*addresses: str):
    """A resolver that knows one answer."""

    async def resolve(host: str, port: int) -> list[str]:
        del host, port
        return list(addresses)

    return resolve


async def test_a_post_arrives_as_it_was_sent():
    async with receiving() as receiver:
        await HttpWebhookSender().send(to(receiver), HEADERS, '{"ä":1}'.encode())
    (post,) = receiver.posts
    assert post.path == "/hook?a=b"
    assert post.content == '{"ä":1}'.encode()
    assert post.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert post.headers["content-type"] == "application/json"
    assert post.id == "f.1.2.task"


@pytest.mark.parametrize(
    "answer",
    [
        OOPS,
        b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\n\r\n",
        b"HTTP/1.1 410 Gone\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
    ],
)
async def test_only_an_answer_that_accepts_it_counts(answer: bytes):
    async with receiving(lambda _: answer) as receiver:
        with pytest.raises(UndeliveredError):
            await HttpWebhookSender().send(to(receiver), HEADERS, b"{}")
    assert len(receiver.posts) == 1  # and no redirect was followed


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.0 200\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n",
    ],
)
async def test_any_acceptance_counts(answer: bytes):
    async with receiving(lambda _: answer) as receiver:
        await HttpWebhookSender().send(to(receiver), HEADERS, b"{}")


async def test_the_body_of_an_acceptance_is_not_read():
    sent, cut = 0, asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"x" * 65_536)
                await writer.drain()
                sent += 65_536
        cut.set()

    async with await asyncio.start_server(endless, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        target = Target("http", "127.0.0.1", port, "/", local=True)
        await HttpWebhookSender(timeout_seconds=3).send(target, HEADERS, b"{}")
        await asyncio.wait_for(cut.wait(), 5)
    assert sent < 50_000_000  # what the kernel buffers


async def test_who_does_not_answer_is_left_after_the_time_out():
    began = time.monotonic()
    async with receiving(lambda _: None) as receiver:
        with pytest.raises(UndeliveredError, match="in time"):
            await HttpWebhookSender(timeout_seconds=0.3).send(to(receiver), HEADERS, b"{}")
    assert time.monotonic() - began < 5


async def test_a_name_that_leads_into_our_network_is_not_called():
    async with receiving() as receiver:
        target = Target("http", "hooks.example.com", receiver.port, "/")
        for addresses in (["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:127.0.0.1"], []):
            with pytest.raises(UndeliveredError, match="not called"):
                await HttpWebhookSender(resolve=at(*addresses)).send(target, HEADERS, b"{}")
    assert receiver.connections == 0


async def test_the_connection_goes_to_the_address_that_was_judged():
    """A name that means something else at the second look is looked up once."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        del port
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with receiving() as receiver:
        target = Target("http", "hooks.test", receiver.port, "/", local=True)
        await HttpWebhookSender(resolve=rebinding).send(target, HEADERS, b"{}")
    assert asked == ["hooks.test"]
    assert receiver.posts[0].headers["host"] == f"hooks.test:{receiver.port}"


async def test_a_second_address_is_tried_where_the_first_does_not_answer():
    async with receiving() as receiver:
        target = Target("http", "hooks.test", receiver.port, "/", local=True)
        await HttpWebhookSender(resolve=at("127.0.0.9", "127.0.0.1")).send(target, HEADERS, b"{}")
    assert len(receiver.posts) == 1


async def test_nobody_there_and_no_such_host_are_undelivered():
    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError(f"no {host} at {port}")

    async with receiving() as receiver:
        target = to(receiver)
    await asyncio.sleep(0)
    with pytest.raises(UndeliveredError):
        await HttpWebhookSender().send(target, HEADERS, b"{}")
    with pytest.raises(UndeliveredError):
        await HttpWebhookSender(resolve=nowhere).send(target, HEADERS, b"{}")


async def test_over_tls_the_certificate_must_be_for_the_name(tmp_path: Path):
    import ssl  # noqa: PLC0415 -- for this test alone

    try:
        made = self_signed(tmp_path)
    except ImportError as error:
        unavailable(error)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.certificate, made.key)
    poster = HttpWebhookSender(trust=made.trust(), resolve=at("127.0.0.1"))
    async with receiving(tls=tls) as receiver:
        await poster.send(to(receiver), HEADERS, b"{}")
        other = Target("https", "hooks.test", receiver.port, "/", local=True)
        for refused, by in (
            (other, poster),
            (to(receiver), HttpWebhookSender(resolve=at("127.0.0.1"))),
        ):
            with pytest.raises(UndeliveredError):
                await by.send(refused, HEADERS, b"{}")
    assert len(receiver.posts) == 1

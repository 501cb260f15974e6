"""The runtime of functions that stream on AWS Lambda, with apps that do what may happen."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from core import logs
from tests.e2e.apps import rest_event
from tests.hosts.streaming_parts import (
    EVENT,
    answered,
    begin,
    body,
    fine,
    first_piece,
    hosted,
)


async def test_what_an_app_sends_arrives_while_it_goes_on():
    arrived = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await begin(send, 201, (b"content-type", b"text/plain"))
        await body(send, b"one", more=True)
        await arrived.wait()
        await body(send, b"two")

    async with hosted(app) as api:
        invoked = api.invoke(EVENT)
        assert await first_piece(invoked) == b"one"
        arrived.set()
        answer = await answered(invoked)
    assert (answer.status, answer.body) == (201, b"onetwo")
    assert answer.headers["content-type"] == "text/plain"
    sent = invoked.headers
    assert sent["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert sent["lambda-runtime-invocation-id"] == invoked.invocation_id
    assert invoked.trailers == {}


async def test_a_piece_without_bytes_does_not_end_an_answer():
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await begin(send)
        for piece in (b"", b"a", b"", b"b"):
            await body(send, piece, more=True)
        await body(send)

    async with hosted(app) as api:
        assert (await answered(api.invoke(EVENT))).body == b"ab"


@pytest.mark.parametrize("status", [200, 204, 304])
async def test_an_answer_without_a_body_has_its_status_and_headers(status: int):
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await begin(send, status, (b"etag", b'"1"'))
        await body(send)

    async with hosted(app) as api:
        answer = await answered(api.invoke(EVENT))
    assert (answer.status, answer.body) == (status, b"")
    assert answer.headers.multi_items() == [("etag", '"1"')]


async def test_a_header_that_is_sent_twice_arrives_twice():
    cookies = [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2, c")]

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await begin(send, 200, *cookies, (b"vary", b"accept"))
        await body(send, b"x")

    async with hosted(app) as api:
        answer = await answered(api.invoke(EVENT))
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2, c"]
    assert answer.headers["vary"] == "accept"


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\x00" * 500_000])
async def test_a_body_arrives_as_it_was_sent_and_goes_back_whole(data: bytes):
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await begin(send)
        await body(send, message["body"])

    async with hosted(app) as api:
        assert (await answered(api.invoke(rest_event("POST", "/", {}, data)))).body == data
        plain = rest_event("POST", "/", {}) | {"body": "ü", "isBase64Encoded": False}
        assert (await answered(api.invoke(plain))).body == "ü".encode()


async def test_an_app_knows_its_time_and_that_its_answers_are_not_buffered():
    scopes = list[Scope]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await fine(scope, receive, send)

    async with hosted(app) as api:
        event = rest_event("GET", "/a%20b?q=1&q2=%C3%BC", {"Accept": "a"})
        invoked = api.invoke(event, seconds=60)
        assert (await answered(invoked)).body == b"/a b"
    (scope,) = scopes
    assert "aws.event" not in scope
    assert scope["crewline.event"] == event
    assert scope["aws.context"].aws_request_id == invoked.request_id
    assert 50_000 < scope["aws.context"].get_remaining_time_in_millis() <= 60_000
    assert (scope["method"], dict(scope["headers"])[b"accept"]) == ("GET", b"a")


async def test_what_one_invocation_adds_to_the_log_ends_with_it():
    seen = list[object]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(logs._context.get())
        logs.add(tenant="acme")
        await fine(scope, receive, send)

    async with hosted(app) as api:
        for _ in range(2):
            await answered(api.invoke(EVENT))
    assert seen == [{}, {}]

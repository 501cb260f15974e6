"""The runtime of functions that stream on AWS Lambda, with apps that do what may happen, and a real Runtime API."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from core import logs
from infra.aws.streaming import hosting, runtime_api
from infra.draining import Draining
from tests.e2e.apps import rest_event
from tests.hosts.runtime_api import Answer, Invoked, RuntimeApi

EVENT = rest_event("GET", "/", {})
SECRET = "what-somebody-sent"


@asynccontextmanager
async def hosted(app: ASGIApp, stopping: asyncio.Event | None = None) -> AsyncIterator[RuntimeApi]:
    """Run an app on the runtime, in this event loop; both must have ended well."""
    stopping = stopping or asyncio.Event()
    with RuntimeApi() as api:
        host = hosting.Host(Draining(app, stopping), runtime_api.RuntimeApi(api.address))
        serving = asyncio.create_task(host.serve(stopping))
        yield api
        stopping.set()
        await asyncio.wait_for(serving, 5)


async def answered(invoked: Invoked) -> Answer:
    return await asyncio.to_thread(invoked.answer)


async def first_piece(invoked: Invoked) -> bytes:
    return await asyncio.to_thread(lambda: next(invoked.pieces()))


async def begin(send: Send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def body(send: Send, data: bytes = b"", *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def fine(scope: Scope, _: Receive, send: Send) -> None:
    await begin(send)
    await body(send, scope["path"].encode())


async def test_what_an_app_sends_arrives_while_it_goes_on():
    arrived = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
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
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send)
        for piece in (b"", b"a", b"", b"b"):
            await body(send, piece, more=True)
        await body(send)

    async with hosted(app) as api:
        assert (await answered(api.invoke(EVENT))).body == b"ab"


@pytest.mark.parametrize("status", [200, 204, 304])
async def test_an_answer_without_a_body_has_its_status_and_headers(status: int):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send, status, (b"etag", b'"1"'))
        await body(send)

    async with hosted(app) as api:
        answer = await answered(api.invoke(EVENT))
    assert (answer.status, answer.body) == (status, b"")
    assert answer.headers.multi_items() == [("etag", '"1"')]


async def test_a_header_that_is_sent_twice_arrives_twice():
    cookies = [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2, c")]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await begin(send, 200, *cookies, (b"vary", b"accept"))
        await body(send, b"x")

    async with hosted(app) as api:
        answer = await answered(api.invoke(EVENT))
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2, c"]
    assert answer.headers["vary"] == "accept"


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\x00" * 500_000])
async def test_a_body_arrives_as_it_was_sent_and_goes_back_whole(data: bytes):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
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
    assert scope["aws.context"].aws_request_id == invoked.request_id
    assert 50_000 < scope["aws.context"].get_remaining_time_in_millis() <= 60_000
    assert (scope["method"], dict(scope["headers"])[b"accept"]) == ("GET", b"a")


async def fails_first(scope: Scope, receive: Receive, send: Send) -> None:
    """Begins and fails, but for requests of /fine."""
    if scope["path"] == "/fine":
        return await fine(scope, receive, send)
    await begin(send)
    raise ValueError(SECRET)


async def fails_amid(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/fine":
        return await fine(scope, receive, send)
    await begin(send)
    await body(send, b"half", more=True)
    raise ValueError(SECRET)


async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
    await fine(scope, receive, send)
    raise ValueError(SECRET)


async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/fine":
        await fine(scope, receive, send)


async def is_fine(api: RuntimeApi) -> bool:
    """Tell whether the runtime still answers."""
    answer = await answered(api.invoke(rest_event("GET", "/fine", {})))
    return (answer.status, answer.body) == (200, b"/fine")


async def test_what_fails_before_the_first_byte_is_a_failed_invocation():
    async with hosted(fails_first) as api:
        invoked = api.invoke(EVENT)
        assert (await answered(invoked)).status == 502
        assert invoked.error is not None
        assert invoked.error["errorType"] == "Function.ValueError"
        assert invoked.headers["lambda-runtime-function-error-type"] == "Function.ValueError"
        assert SECRET not in json.dumps(invoked.error)
        assert await is_fine(api)


async def test_what_fails_amid_an_answer_is_told_behind_it():
    async with hosted(fails_amid) as api:
        invoked = api.invoke(EVENT)
        assert (await answered(invoked)).body == b"half"
        assert invoked.trailers["lambda-runtime-function-error-type"] == "Function.ValueError"
        assert invoked.failure is not None
        assert SECRET not in json.dumps(invoked.failure)
        assert await is_fine(api)


async def test_what_fails_behind_an_answer_does_not_spoil_it(caplog: pytest.LogCaptureFixture):
    async with hosted(fails_late) as api:
        invoked = api.invoke(EVENT)
        assert (await answered(invoked)).body == b"/"
        assert invoked.trailers == {}
        assert await is_fine(api)
    assert "an invocation failed" in caplog.text


async def test_an_app_that_says_nothing_has_failed():
    async with hosted(says_nothing) as api:
        invoked = api.invoke(EVENT)
        assert (await answered(invoked)).status == 502
        assert await is_fine(api)


@pytest.mark.parametrize("event", [{}, [], None, "x", {"Records": []}, {"resource": "/", "requestContext": {}}])
async def test_an_event_that_is_no_request_fails_alone(event: Any):
    async with hosted(fine) as api:
        assert (await answered(api.invoke(event))).status == 502
        assert await is_fine(api)


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream until the client is gone; fine otherwise."""
    if scope["path"] == "/fine":
        return await fine(scope, receive, send)
    await receive()
    gone = asyncio.create_task(receive())
    await begin(send)
    while not gone.done():
        await body(send, b"x", more=True)
        await asyncio.sleep(0.01)


async def test_an_app_is_told_that_nobody_takes_its_answer_any_more():
    async with hosted(endless) as api:
        invoked = api.invoke(EVENT)
        assert await first_piece(invoked) == b"x"
        invoked.hang_up()
        assert await is_fine(api)


async def test_an_answer_that_is_refused_costs_no_other():
    async with hosted(endless) as api:
        api.invoke(EVENT, refused=410)  # of an invocation whose time was up
        assert await is_fine(api)


async def test_the_runtime_ends_where_lambda_cannot_go_on():
    with RuntimeApi() as api:
        host = hosting.Host(fine, runtime_api.RuntimeApi(api.address))
        api.invoke(EVENT, refused=500)
        with pytest.raises(runtime_api.RuntimeApiError):
            await asyncio.wait_for(host.serve(asyncio.Event()), 5)


async def test_an_app_that_does_not_end_is_ended_before_lambda_would_end_the_process():
    async with hosted(endless) as api:
        invoked = api.invoke(EVENT, seconds=hosting.LAST_SECONDS + 0.3)
        answer = await answered(invoked)
        left = invoked.deadline_ms / 1000 - time.time()
        assert answer.body.strip(b"x") == b""
        assert invoked.trailers["lambda-runtime-function-error-type"] == "Function.TimeoutError"
        assert left > 0
        assert await is_fine(api)


async def test_an_app_that_does_not_begin_in_time_has_failed():
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (fine(scope, receive, send) if scope["path"] == "/fine" else asyncio.sleep(60))

    async with hosted(app) as api:
        invoked = api.invoke(EVENT, seconds=hosting.LAST_SECONDS + 0.2)
        assert (await answered(invoked)).status == 502
        assert invoked.error is not None
        assert invoked.error["errorType"] == "Function.TimeoutError"
        assert await is_fine(api)


async def test_a_reader_that_does_not_read_holds_the_app_back_and_the_process_only_to_the_deadline():
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        if scope["path"] == "/fine":
            return await fine(scope, receive, send)
        await begin(send)
        while sent < 200_000_000:
            await body(send, bytes(100_000), more=True)
            sent += 100_000

    async with hosted(app) as api:
        invoked = api.invoke(EVENT, seconds=hosting.LAST_SECONDS + 0.5)
        invoked.reading.clear()
        assert await is_fine(api)
        assert 0 < sent < 50_000_000
        invoked.reading.set()
        assert await asyncio.to_thread(invoked.done.wait, 5)
        assert invoked.broken


async def test_a_stop_ends_a_stream_after_a_whole_piece_and_takes_no_more():
    stopping = asyncio.Event()
    async with hosted(endless, stopping) as api:
        invoked = api.invoke(EVENT)
        await first_piece(invoked)
        stopping.set()
        assert set((await answered(invoked)).body) == {ord("x")}
        assert invoked.trailers == {}
        late = api.invoke(EVENT)
        assert not await asyncio.to_thread(late.done.wait, 0.2)


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

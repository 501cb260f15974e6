"""What fails, hangs or leaves on the runtime of functions that stream: it costs no other invocation."""

import asyncio
import json
import time
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from infra.aws.streaming import hosting, runtime_api
from tests.hosts.runtime_api import RuntimeApi
from tests.hosts.streaming_parts import (
    EVENT,
    answered,
    begin,
    body,
    endless,
    fine,
    first_piece,
    hosted,
    is_fine,
)

SECRET = "what-somebody-sent"


async def fails_first(scope: Scope, receive: Receive, send: Send) -> None:
    """Begins and fails, but for requests of /fine."""
    if scope["path"] == "/fine":
        await fine(scope, receive, send)
        return
    await begin(send)
    raise ValueError(SECRET)


async def fails_amid(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/fine":
        await fine(scope, receive, send)
        return
    await begin(send)
    await body(send, b"half", more=True)
    raise ValueError(SECRET)


async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
    await fine(scope, receive, send)
    raise ValueError(SECRET)


async def says_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/fine":
        await fine(scope, receive, send)


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


@pytest.mark.parametrize(
    "event", [{}, [], None, "x", {"Records": []}, {"resource": "/", "requestContext": {}}]
)
async def test_an_event_that_is_no_request_fails_alone(event: Any):
    async with hosted(fine) as api:
        assert (await answered(api.invoke(event))).status == 502
        assert await is_fine(api)


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
            await fine(scope, receive, send)
            return
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

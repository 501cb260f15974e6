"""What goes wrong, told in a few words; and bodies of which every reader makes the same."""

import contextlib
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from core.errors import (
    ConflictError,
    CrewlineError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from functions import _problem

LIMIT = 4096


def told(error: Exception) -> dict[str, Any]:
    answer = _problem.response(error)
    assert answer.media_type == "application/problem+json"
    document = json.loads(bytes(answer.body))
    assert document["status"] == answer.status_code
    return document


def test_wrong_input_names_the_fields():
    error = InvalidInputError("two fields are wrong", {"/crew": "required", "/inputs/a~1b": "no"})
    assert told(error) == snapshot(
        {
            "type": "urn:crewline:problem:invalid-input",
            "title": "The request is wrong",
            "status": 422,
            "detail": "two fields are wrong",
            "errors": [
                {"pointer": "/crew", "detail": "required"},
                {"pointer": "/inputs/a~1b", "detail": "no"},
            ],
        }
    )


def test_what_is_missing_says_nothing_that_could_tell_it_from_another_tenants():
    assert told(NotFoundError("no flow f1")) == snapshot(
        {"type": "urn:crewline:problem:not-found", "title": "No such thing", "status": 404}
    )


def test_what_nobody_expected_is_told_without_a_trace():
    assert told(RuntimeError("password=hunter2")) == snapshot(
        {
            "type": "about:blank",
            "title": "Internal Server Error",
            "status": 500,
            "detail": "the fault is ours; it was written down",
        }
    )


def test_an_answer_of_http_itself_is_a_problem_too():
    answer = _problem.response(HTTPException(405, headers={"allow": "GET"}))
    assert answer.headers["allow"] == "GET"
    assert json.loads(bytes(answer.body)) == snapshot(
        {"type": "about:blank", "title": "Method Not Allowed", "status": 405}
    )


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (UnauthenticatedError("who?"), 401, ("www-authenticate", "Bearer")),
        (ForbiddenError("no"), 403, None),
        (ConflictError("no"), 409, None),
        (UnavailableError("later", 7), 503, ("retry-after", "7")),
    ],
)
def test_every_error_of_the_core_has_its_status(
    error: CrewlineError, status: int, header: tuple[str, str] | None
):
    answer = _problem.response(error)
    assert answer.status_code == status
    if header:
        assert answer.headers[header[0]] == header[1]


def test_the_map_leaves_out_no_error_and_takes_in_its_subclasses():
    assert set(_problem.STATUS) == set(CrewlineError.__subclasses__())
    assert told(type("OddError", (ConflictError,), {})("no"))["status"] == 409


@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=50))
def test_a_problem_stays_under_two_kilobytes(message: str, pointers: dict[str, str]):
    answer = _problem.response(InvalidInputError(message * 50, pointers))
    assert len(answer.body) < 2048
    json.loads(bytes(answer.body))


async def run(app: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/a\nb", "headers": []}
    await _problem.Problems(app)(scope, receive, send)
    return sent


async def test_an_unexpected_error_is_logged_once_and_cannot_forge_a_line(
    caplog: pytest.LogCaptureFixture,
):
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        sent = await run(broken)
    assert sent[0]["status"] == 500
    assert [record.getMessage() for record in caplog.records] == [r"unexpected: GET '/a\nb'"]


async def test_an_error_in_the_middle_of_an_answer_breaks_it_off():
    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run(broken)


async def test_a_client_that_has_gone_is_told_nothing():
    async def gone(*_: Any) -> None:
        raise ClientDisconnect

    assert await run(gone) == []


def request(chunks: Sequence[bytes], **headers: str) -> Request:
    given = {"content_type": "application/json"} | headers
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    arriving = iter(messages)

    async def receive() -> Message:
        return next(arriving)

    lines = [(k.replace("_", "-").encode(), v.encode()) for k, v in given.items()]
    return Request({"type": "http", "method": "POST", "headers": lines}, receive)


async def refused(chunks: Sequence[bytes], **headers: str) -> tuple[int, str]:
    with pytest.raises(HTTPException) as caught:
        await _problem.read_json(request(chunks, **headers), LIMIT)
    return caught.value.status_code, caught.value.detail


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b'{"a":', "not JSON"),
        (b'{"a":1} x', "not JSON"),
        (b'"\xff"', "not JSON"),
        ('{"a":1}'.encode("utf-16"), "not JSON"),
        (b'\xef\xbb\xbf{"a":1}', "not JSON"),
        (b"NaN", "not finite"),
        (b"[-Infinity]", "not finite"),
        (b"1e999", "not finite"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b"9007199254740993", "2^53"),
        (b"-" + b"9" * 4000, "2^53"),
        (b'{"a":1,"a":1}', "twice"),
        (b'{"a":1,"\\u0061":2}', "twice"),
        (b"[" * 65 + b"]" * 65, "64 levels"),
        (b"[" * 2000 + b"]" * 2000, "levels|not JSON"),
        (b'{"a":' * 600 + b"1" + b"}" * 600, "levels|not JSON"),
    ],
)
async def test_a_body_that_readers_might_disagree_on_is_refused(body: bytes, reason: str):
    status, said = await refused([body])
    assert status == 400
    assert any(word in said for word in reason.split("|"))


@given(st.binary(max_size=200))
async def test_any_bytes_are_read_or_refused(body: bytes):
    with contextlib.suppress(HTTPException):
        await _problem.read_json(request([body]), LIMIT)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(JSON, st.integers(1, 50))
async def test_plain_json_is_read_as_it_was_meant_however_it_arrives(value: Any, size: int):
    body = json.dumps(value).encode()
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert await _problem.read_json(request(chunks), 100_000) == value


async def test_sixty_four_levels_are_fine():
    assert await _problem.read_json(request([b"[" * 64 + b"]" * 64]), LIMIT)


@pytest.mark.parametrize("headers", [{}, {"content_length": "17"}, {"content_length": "9" * 5000}])
async def test_bytes_are_counted_whatever_the_length_says(headers: dict[str, str]):
    assert (await refused([b"[" + b" " * 1000] * 5, **headers))[0] == 413


@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "text/json", "json"])
async def test_another_content_type_is_refused(kind: str):
    assert (await refused([b"{}"], content_type=kind))[0] == 415


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/LD+JSON"])
async def test_json_by_another_name_is_read(kind: str):
    assert await _problem.read_json(request([b"{}"], content_type=kind), LIMIT) == {}


async def test_a_coded_body_is_refused_before_it_can_swell():
    assert (await refused([b"\x1f\x8b"], content_encoding="gzip"))[0] == 415

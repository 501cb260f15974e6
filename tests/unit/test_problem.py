"""What goes wrong, told in a few words."""

import json
import logging
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from core import logs
from core.errors import (
    ConflictError,
    CrewlineError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from functions._http import problems


def told(error: Exception) -> dict[str, Any]:
    answer = problems.response(error)
    assert answer.media_type == "application/problem+json"
    document = json.loads(bytes(answer.body))
    assert document["status"] == answer.status_code
    return document


def test_wrong_input_names_the_fields():
    error = InvalidInputError("two fields are wrong", {"/crew": "required", "/inputs/a~1b": "no"})
    assert told(error) == snapshot(
        {
            "type": "urn:crewline:problem:invalid-input",
            "title": "Invalid request",
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
        {"type": "urn:crewline:problem:not-found", "title": "Not found", "status": 404}
    )


def test_what_nobody_expected_is_told_without_a_trace():
    assert told(RuntimeError("password=hunter2")) == snapshot(
        {
            "type": "urn:crewline:problem:internal",
            "title": "Internal server error",
            "status": 500,
            "detail": "the fault is ours; it was written down",
        }
    )


def test_an_answer_of_http_itself_is_a_problem_too():
    answer = problems.response(HTTPException(405, headers={"allow": "GET"}))
    assert answer.headers["allow"] == "GET"
    assert json.loads(bytes(answer.body)) == snapshot(
        {
            "type": "urn:crewline:problem:method-not-allowed",
            "title": "Method not allowed",
            "status": 405,
        }
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
    answer = problems.response(error)
    assert answer.status_code == status
    if header:
        assert answer.headers[header[0]] == header[1]


def test_the_map_leaves_out_no_error_and_takes_in_its_subclasses():
    assert set(problems.STATUS) == set(CrewlineError.__subclasses__())
    assert told(type("OddError", (ConflictError,), {})("no"))["status"] == 409


@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=50))
def test_a_problem_stays_under_two_kilobytes(message: str, pointers: dict[str, str]):
    answer = problems.response(InvalidInputError(message * 50, pointers))
    assert len(answer.body) < 2048
    json.loads(bytes(answer.body))


async def run(app: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/a\nb", "headers": []}
    await problems.Problems(app)(scope, receive, send)
    return sent


async def test_an_unexpected_error_is_logged_once_and_cannot_forge_a_line(
    caplog: pytest.LogCaptureFixture,
):
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        sent = await run(broken)
    assert sent[0]["status"] == 500
    (record,) = caplog.records
    for formatter in (logs.JsonFormatter(), logs.TextFormatter()):
        line, *_ = formatter.format(record).split("\n")
        assert r"/a\nb" in line


async def test_an_error_in_the_middle_of_an_answer_breaks_it_off_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
):
    async def broken(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        int("s3cret")

    with pytest.raises(problems.BrokenOffError) as raised:
        await run(problems.Problems(broken))
    assert "s3cret" not in "".join(traceback.format_exception(raised.value))  # as servers print it
    assert len(caplog.records) == 1


async def test_a_client_that_has_gone_is_told_nothing():
    async def gone(*_: Any) -> None:
        raise ClientDisconnect

    assert await run(gone) == []

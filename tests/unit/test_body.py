"""Bodies of which every reader makes the same."""

import contextlib
import gc
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from core import bootstrap
from core.config import Settings
from functions._http import bodies

SETTINGS = Settings("http://nowhere", "none", {"k": "k" * 32}, "none")
LIMIT, LARGE = 4400, 1024**2


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with bootstrap.replace(settings=SETTINGS):
        yield


def request(chunks: Sequence[bytes], **headers: str) -> Request:
    given = {"content_type": "application/json"} | headers
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    arriving = iter(messages)

    async def receive() -> Message:
        return next(arriving)

    lines = [(k.replace("_", "-").encode(), v.encode()) for k, v in given.items()]
    return Request({"type": "http", "method": "POST", "headers": lines}, receive)


async def refused(chunks: Sequence[bytes], limit: int = LARGE, **headers: str) -> tuple[int, str]:
    with pytest.raises(HTTPException) as caught:
        await bodies.read_json(request(chunks, **headers), limit)
    return caught.value.status_code, caught.value.detail


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is empty"),
        (b'{"a":', "not JSON"),
        (b'{"a":1} x', "not JSON"),
        (b'"\xff"', "not JSON"),
        ('{"a":1}'.encode("utf-16"), "not JSON"),
        (b"NaN", "not finite"),
        (b"[-Infinity]", "not finite"),
        (b"1e999", "not finite"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b"9007199254740993", "2^53"),
        (b"-" + b"9" * 4000, "2^53"),
        (b"9" * 4400, "2^53"),
        (b'{"a":[{"b":9007199254740993}]}', "2^53"),
        (b"[" * 64 + b"1e999" + b"]" * 64, "not finite"),
        (b"[" + b"[[]]," * 50_000 + b"0]", "100000 values and names"),
        (b"[" + b'[""],' * 50_000 + b"0]", "100000 values and names"),
        (b"[" + b"[ \n],{\t}," * 50_000 + b"0]", "100000 values and names"),
        (b"[" + b'"",' * 100_000 + b"0]", "100000 values and names"),
        (b"{" + b"," * 100_000 + b"}", "100000 values and names"),
        (b"{" + b",".join(b'"%x":0' % n for n in range(50_001)) + b"}", "100000 values and names"),
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


@pytest.mark.parametrize(
    "text", ["a,b[{" * 50_000, '\\",' * 50_000, "\\" * 100_001 + ",[", ',"' * 100_000 + "\\"]
)
async def test_what_stands_in_a_text_is_not_counted(text: str):
    value = {"a": [text, {text: 0}]}
    assert await bodies.read_json(request([json.dumps(value).encode()]), LARGE) == value


@pytest.mark.parametrize("last", ["", ",0"])
@pytest.mark.parametrize("value", ["", '["', "\\", '\\\\",', [], {}, 0])
async def test_values_are_counted_to_the_last_one(value: Any, last: str):
    item = json.dumps(value).encode()
    body = b"[" + b",".join([item] * (bodies.VALUES - 1)) + last.encode() + b"]"
    if last:
        assert await refused([body]) == (400, "the body has more than 100000 values and names")
    else:
        assert len(await bodies.read_json(request([body]), LARGE)) == bodies.VALUES - 1


@given(st.binary(max_size=200))
async def test_any_bytes_are_read_or_refused(body: bytes):
    with contextlib.suppress(HTTPException):
        await bodies.read_json(request([body]), LIMIT)


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
    assert await bodies.read_json(request(chunks), 100_000) == value


async def test_a_byte_order_mark_is_passed_over():
    assert await bodies.read_json(request([b'\xef\xbb\xbf{"a":1}']), LIMIT) == {"a": 1}


async def test_sixty_four_levels_are_fine():
    assert await bodies.read_json(request([b"[" * 64 + b"]" * 64]), LIMIT)


@pytest.mark.parametrize("headers", [{}, {"content_length": "17"}, {"content_length": "9" * 5000}])
async def test_bytes_are_counted_whatever_the_length_says(headers: dict[str, str]):
    assert (await refused([b"[" + b" " * 1000] * 5, LIMIT, **headers))[0] == 413


@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "text/json", "json"])
async def test_another_content_type_is_refused(kind: str):
    assert (await refused([b"{}"], content_type=kind))[0] == 415


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/LD+JSON"])
async def test_json_by_another_name_is_read(kind: str):
    assert await bodies.read_json(request([b"{}"], content_type=kind), LIMIT) == {}


async def test_a_coded_body_is_refused_before_it_can_swell():
    assert (await refused([b"\x1f\x8b"], content_encoding="gzip"))[0] == 415


async def test_the_collector_of_garbage_does_not_look_through_a_body_again_and_again():
    runs = Counter[str]()

    def count(phase: str, _: dict[str, int]) -> None:
        runs[phase] += 1

    bodies_read = [b"[" + b"[[]]," * 40_000 + last for last in (b"0]", b"0")]
    gc.callbacks.append(count)
    try:
        assert len(await bodies.read_json(request([bodies_read[0]]), LARGE)) == 40_001
        assert (await refused([bodies_read[1]]))[0] == 400
    finally:
        gc.callbacks.remove(count)
    assert gc.isenabled()
    assert runs["start"] < 20, runs  # with it there would be 200

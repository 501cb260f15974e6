"""Frames, read back by the rules of the HTML standard."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from core.json_text import compact
from functions._streams import sse


def read(stream: bytes) -> list[tuple[str, str]]:
    """Return (id, data) of each event, as an EventSource would dispatch them."""
    dispatched: list[tuple[str, str]] = []
    last_id, data = "", list[str]()
    for line in re.split(r"\r\n|\r|\n", stream.decode())[:-1]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            dispatched.append((last_id, "\n".join(data)))
            data = []
        elif name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            last_id = value
    return dispatched


def test_an_event_is_its_data_an_id_and_an_empty_line():
    assert sse.event('{"a":1}', "0f.7") == b'data: {"a":1}\nid: 0f.7\n\n'


def test_nothing_but_an_event_ends_with_an_empty_line():
    for line in (sse.retry(1500), sse.HEARTBEAT, sse.comment("too many")):
        assert line.endswith(b"\n")
        assert b"\n\n" not in line


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x85\u2028\u2029")))
def test_any_text_comes_out_as_it_went_in_but_for_the_kind_of_line_end(text: str):
    stream = sse.retry(1) + sse.event(text, "a.1") + sse.HEARTBEAT + sse.event("end", "a.2")
    seen = text.replace("\r\n", "\n").replace("\r", "\n")
    assert read(stream) == [("a.1", seen), ("a.2", "end")]


# All at which str.splitlines ends a line, and the line decoder of httpx with it.
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
ENDED = [c for c in map(chr, range(0x11_0000)) if len(f"a{c}b".splitlines()) == 2]


def test_no_character_at_which_any_reader_ends_a_line_cuts_an_event():
    assert sorted(LINE_ENDS) == ENDED
    told = {"type": "CUSTOM", "value": f"a{'b'.join(LINE_ENDS)}c", LINE_ENDS: 1}
    frame = sse.event(compact(told), "a.1")
    for lines in (
        frame.decode().splitlines(),
        list(httpx.Response(200, content=frame).iter_lines()),
    ):
        assert [line.partition(":")[0] for line in lines] == ["data", "id", ""]
        assert json.loads(lines[0].removeprefix("data: ")) == told


def test_data_cannot_forge_an_event():
    forged = "x\n\nid: 9\rdata: forged\r\n\r\n"
    assert [event_id for event_id, _ in read(sse.event(forged, "a.1"))] == ["a.1"]


def test_a_lone_surrogate_does_not_end_the_stream():
    assert read(sse.event("\ud800", "a.1")) == [("a.1", "?")]


@pytest.mark.parametrize("event_id", ["", "a b", "a\n", "a\rdata: x", "a\0", "ä", "a" * 513])
def test_an_id_that_would_break_the_cursor_is_refused(event_id: str):
    with pytest.raises(ValueError, match="id"):
        sse.event("x", event_id)


async def test_the_source_is_closed_as_soon_as_the_client_has_gone():
    closed, begun = asyncio.Event(), asyncio.Event()

    async def frames() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield sse.HEARTBEAT
        finally:
            closed.set()

    async def receive() -> dict[str, str]:
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            begun.set()
        await asyncio.sleep(0)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    async with asyncio.timeout(2):
        await sse.EventStream(frames())(scope, receive, send)
    assert closed.is_set()

"""The parts of the Python client that do no I/O, by what must hold for all inputs."""

import copy
from typing import Any

import httpx
import jsonpatch
import pytest
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from clients.crewline import (
    CLIMB_SECONDS,
    STRIKES,
    Ladder,
    Message,
    Progress,
    SseParser,
    _BrokenError,
    back_off,
    patched,
    retry_after,
)

FIELDS = st.sampled_from(
    ["data", "data: a", "data:b ", "data:  ü\u2028", ": hello", ":", "id: i.1", "id", "id:x\0",
     "event: e", "retry: 7", "retry: x", "nonsense", "\ufeffdata: x", ""]
)  # fmt: skip
ENDS = st.sampled_from(["\n", "\r", "\r\n"])
STREAMS = st.lists(st.tuples(FIELDS, ENDS)).map(lambda lines: "".join(map("".join, lines)).encode())


def parsed(chunks: list[bytes]) -> list[Message]:
    parser = SseParser()
    return [message for chunk in chunks for message in parser.feed(chunk)]


@given(STREAMS | st.binary(max_size=60), st.data())
def test_a_stream_means_the_same_however_it_is_cut(stream: bytes, data: st.DataObject):
    whole = parsed([stream])
    assert parsed([bytes([byte]) for byte in stream]) == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parsed(pieces) == whole


@given(STREAMS.filter(lambda stream: not stream.startswith("\ufeff".encode())))
def test_it_means_what_another_reader_says(stream: bytes):
    # The other one hands on messages without data too, and what no empty line has ended yet;
    # so both read a last line that ends nothing.
    headers = {"content-type": "text/event-stream"}
    answer = httpx.Response(200, headers=headers, content=stream + b"\n:\n")
    told = [Message(event.id, event.data) for event in EventSource(answer).iter_sse() if event.data]
    assert [message for message in parsed([stream, b"\n:\n"]) if message.data] == told


def test_a_mark_of_the_byte_order_is_skipped_and_a_time_to_wait_is_kept():
    parser = SseParser()
    assert parser.feed(b"\xef\xbb\xbfretry: 1500\ndata: x\n\n") == [Message("", "x")]
    assert parser.retry_seconds == 1.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b/c", "d~e", "", "0"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_a_patch_leads_where_it_should_and_leaves_the_old_state_alone(old: Any, new: Any):
    changes = jsonpatch.JsonPatch.from_diff(old, new).patch
    operations = [one for one in changes if one["op"] in {"add", "replace", "remove"}]
    before = copy.deepcopy(old)
    try:
        expected = jsonpatch.apply_patch(old, operations)
    except jsonpatch.JsonPatchException:
        return  # without its moves it does not fit
    assert patched(old, operations) == expected
    assert old == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/a/b", "value": 1},
        {"op": "remove", "path": "/nope"},
        {"op": "remove", "path": "/list/9"},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "add", "path": "/a"},
    ],
)
def test_a_patch_that_does_not_fit_leaves_no_state_rather_than_a_wrong_one(operation: dict):
    progress = Progress("i.1", {"version": 1, "a": 1, "list": []})
    progress.take("i.2", {"type": "STATE_DELTA", "delta": [operation]}, opening=False)
    assert progress.state is None
    assert progress.cursor == "i.2"


def count(number: int) -> dict[str, Any]:
    return {"type": "CUSTOM", "name": "count", "value": number}


SNAPSHOT = {"type": "STATE_SNAPSHOT", "snapshot": {"version": 3}}


def test_repeats_are_dropped_even_if_a_server_forgets_the_cursor():
    progress = Progress()
    log = [{"type": "RUN_STARTED"}, SNAPSHOT, count(3), {"type": "RUN_FINISHED"}]
    for connection in range(3):
        fresh = [
            progress.take(f"i.{n}", event, opening=n == 1)
            for n, event in enumerate(log[: connection + 2], 1)
        ]
        assert sum(fresh) == (2 if connection == 0 else 1)
    assert progress.ended


def test_a_gap_is_no_event_and_a_flow_that_was_made_anew_is_no_continuation():
    progress = Progress("i.4")
    for cursor in ("i.6", "other.5", "other.1"):
        with pytest.raises(_BrokenError):
            progress.take(cursor, count(1), opening=True)
    assert progress.cursor == "i.4"


@pytest.mark.parametrize("cursor", ["i.9", "i.2", "other.7"])
def test_a_snapshot_that_opens_an_answer_is_the_servers_word(cursor: str):
    progress = Progress("i.4", {"version": 8})
    assert progress.take(cursor, SNAPSHOT, opening=True)
    assert (progress.cursor, progress.state) == (cursor, {"version": 3})


def test_a_snapshot_in_the_middle_may_jump_ahead_and_not_back():
    progress = Progress("i.4")
    assert not progress.take("i.4", SNAPSHOT, opening=False)
    assert progress.take("i.9", SNAPSHOT, opening=False)


def test_a_change_that_a_later_snapshot_knows_of_is_not_made_twice():
    progress = Progress("i.4")
    progress.see({"version": 7, "usage": 70})
    for version in (6, 7, 8):
        delta = [
            {"op": "replace", "path": "/usage", "value": version * 10},
            {"op": "replace", "path": "/version", "value": version},
        ]
        event = {"type": "STATE_DELTA", "delta": delta}
        assert progress.take(f"i.{version - 1}", event, opening=False)
        assert progress.state == {"version": max(version, 7), "usage": max(version, 7) * 10}
    progress.see({"version": 2, "usage": 0})
    assert progress.state == {"version": 8, "usage": 80}


def test_the_ladder_goes_down_by_strikes_and_up_by_time_each_time_later():
    ladder, now = Ladder(), 0.0
    first, most = CLIMB_SECONDS
    for waited in (first, 2 * first, 4 * first, 8 * first, most, most):
        for _ in range(STRIKES):
            ladder.fails("stream", now, surely=False)
        assert ladder.way(now + waited - 1) == "long-poll"
        ladder.works("long-poll")
        now += waited
        assert ladder.way(now) == "stream"
    ladder.works("stream")
    assert ladder.climb_seconds == first


def test_what_another_reader_found_out_is_not_held_against_the_new_way():
    ladder = Ladder()
    assert ladder.fails("stream", 0, surely=True)
    assert ladder.fails("stream", 0, surely=True)  # it was under way meanwhile
    assert ladder.way(1) == "long-poll"


@given(st.integers(0, 10_000))
def test_the_back_off_stays_within_its_bounds(failures: int):
    assert 0 <= back_off(failures) <= min(30.0, 0.5 * 2.0 ** min(failures, 9) * (failures > 0))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("7", 7, 7), ("0", 0, 0), ("x", 2, 2), ("", 2, 2), ("9" * 30, 300, 300),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0), ("-5", 2, 2), ("٣", 2, 2)],
)  # fmt: skip
def test_a_time_to_come_back_is_a_number_or_a_date(text: str, low: float, high: float):
    answer = httpx.Response(200, headers={b"retry-after": text.encode()})
    assert low <= retry_after(answer, 2.0) <= high

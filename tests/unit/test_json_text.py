"""JSON is made in pieces of which none takes long, and read so that others have their turn."""

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.json_text import PIECE_CHARACTERS, compact_bytes, loads_in_turns, pieces
from tests.pace import cpu_bound

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS = st.text() | st.text(alphabet=st.characters(), min_size=1).map(lambda text: text * 9_000)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(VALUES)
def test_the_pieces_are_the_whole(value: Any):
    assert b"".join(pieces(value)) == compact_bytes(value)


def test_a_number_that_no_json_has_is_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        list(pieces({"a": [float("nan")]}))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"text": "x" * 8_000_000}, id="one long text"),
        pytest.param([{"a": [1, "b", None]}] * 200_000, id="many small things"),
    ],
)
def test_no_piece_takes_long_to_make(value: Any):
    made, longest, sizes = pieces(value), 0.0, list[int]()
    began = time.thread_time()
    for piece in made:
        longest = max(longest, time.thread_time() - began)
        sizes.append(len(piece))
        began = time.thread_time()
    assert sum(sizes) == len(json.dumps(value, separators=(",", ":")))
    assert max(sizes) <= 2 * PIECE_CHARACTERS + 2
    assert longest < 0.05 or longest < cpu_bound(0.05)


async def longest_share(body: bytes, value: Any) -> float:
    """Read a text in a thread; return how much of that time the loop waited at once for its turn."""
    began = turned = time.monotonic()
    reading, longest = asyncio.create_task(asyncio.to_thread(loads_in_turns, body)), 0.0
    while not reading.done():
        await asyncio.sleep(0)
        now = time.monotonic()
        longest, turned = max(longest, now - turned), now
    assert await reading == value
    return longest / (turned - began)


async def test_a_large_text_is_read_in_turn_with_other_threads():
    value = {"result": [f"{number} " + "ü" * 50 for number in range(200_000)]}
    body = compact_bytes(value)
    shares = [await longest_share(body, value) for _ in range(3)]
    assert min(shares) < 0.3  # of json.loads it is about a half


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"a": nope}', b'"\xff"'])
def test_what_is_no_json_is_no_value(body: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 -- of json or of a decoder
        loads_in_turns(body)

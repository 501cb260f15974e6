"""Long texts in pieces: nothing is lost, no line is too long, and no character is torn."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.flows import events
from core.flows.events import PIECE_CHARACTERS
from core.flows.pieces import LONGEST_CLUSTER, pieces
from functions._streams import sse

LINE_BYTES = 2**19  # what aiohttp takes, as other readers of lines do
SIZE = LONGEST_CLUSTER + 5
CLUSTERS = {
    "an accent of its own": "e\u0301",
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a hand with a tone": "\U0001f44b\U0001f3fd",
    "a heart in colour": "\u2764\ufe0f",
    "a flag": "\U0001f1f3\U0001f1f1",
    "a syllable": "\u1112\u1161\u11ab",
    "an end of line": "\r\n",
    "a vowel sign": "\u0915\u093f",
    "a surrogate pair": "\ud83d\ude00",
}


@given(st.text(), st.integers(0, 300))
def test_pieces_make_up_the_text(text: str, more: int):
    long = text + "x" * more + text
    found = list(pieces(long, SIZE))
    assert "".join(found) == long
    assert all(len(piece) <= SIZE for piece in found)


@pytest.mark.parametrize("offset", range(7))
@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_no_piece_ends_within_what_is_seen_as_one_character(cluster: str, offset: int):
    text = "x" * offset + cluster * 200
    found = list(pieces(text, SIZE))
    assert len(found) > 2
    assert [piece.strip("x").replace(cluster, "") for piece in found] == [""] * len(found)


def test_what_joins_without_end_is_cut_all_the_same():
    endless = "e" + "\u0301" * 1000
    found = list(pieces(endless, SIZE))
    assert "".join(found) == endless
    assert max(map(len, found)) == SIZE


@pytest.mark.parametrize("character", ["x", "ü", "\u2028", "\x01", "\U0001f600", '"'])
def test_a_message_and_a_tools_arguments_of_two_megabytes_are_lines_that_readers_take(
    character: str,
):
    text = character * (2 * 1024**2)
    told = [*events.text_message("m", text), *events.tool_call("c", "t", text)]
    written = events.merged(told)
    assert (
        max(len(sse.event(json.dumps(e, ensure_ascii=False), "0a.1")) for e in written) < LINE_BYTES
    )
    for kind in ("TEXT_MESSAGE_CONTENT", "TOOL_CALL_ARGS"):
        assert "".join(e["delta"] for e in written if e["type"] == kind) == text
    assert events.open_message(written, None) is None


def test_what_was_streamed_in_small_pieces_is_bounded_too():
    streamed = events.text_content("m", "x" * 1000) * 200
    lengths = [len(event["delta"]) for event in events.merged(streamed)]
    assert sum(lengths) == 200_000
    assert set(lengths[:-1]) == {PIECE_CHARACTERS}

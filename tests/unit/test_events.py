"""Whatever the builders make is valid AG-UI, on its own and as a whole log."""

import json
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter

from core.costs.usage import Usage
from core.flows import Entry, events
from core.json_text import compact

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)
A_LOG = [
    *events.run_started("f"),
    *events.step_started("one", 1),
    *events.model_call("one", "crewline/offline", Usage(calls=1)),
    *events.text_message("one.1.1", "ü\n"),
    *events.text_message("one.1.2", ""),
    *events.text_content("one.1.3", "so f"),
    *events.tool_call("c1", "profile_csv", '{"file": "in_1"}'),
    *events.tool_result("c1", "a profile"),
    *events.step_started("one", 2),
    *events.step_finished("one"),
    *events.run_finished("f", {"columns": []}),
    *events.run_error("no", "step"),
    events.state_snapshot({"id": "f"}),
]


@pytest.mark.parametrize("event", A_LOG, ids=lambda event: event["type"])
def test_each_event_is_one_that_ag_ui_knows(event: dict[str, Any]):
    read = AG_UI.validate_json(compact(event))
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == event


def test_an_event_is_one_line_and_keeps_no_lone_surrogate():
    line = compact(events.custom("x", "a\nb\u2028\ud800\x1e")[0])
    assert "\n" not in line
    assert "\x1e" not in line
    assert json.loads(line.encode())["value"] == "a\nb\u2028?\x1e"


def test_numbers_that_are_not_json_are_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        compact(events.custom("x", float("nan"))[0])


def test_only_the_end_of_a_run_is_final():
    final = [e["type"] for e in A_LOG if Entry(1, e["type"], compact(e)).is_final]
    assert final == ["RUN_FINISHED", "RUN_ERROR"]


def test_neighbouring_pieces_of_a_message_become_one():
    pieces = [
        *events.text_content("a", "so "),
        *events.text_content("a", "far"),
        *events.text_content("b", "."),
        *events.custom("x", 1),
        *events.text_content("b", "!"),
    ]
    merged = events.merged(pieces)
    assert [e.get("delta") for e in merged] == ["so far", ".", None, "!"]
    assert [e.get("delta") for e in pieces] == ["so ", "far", ".", None, "!"]


def test_long_texts_are_cut_into_pieces_and_no_piece_is_lost():
    texts = [events.PIECE_CHARACTERS * 3 + 1, 10, events.PIECE_CHARACTERS, 20, 30]
    told = [e for n, size in enumerate(texts) for e in events.text_content("a", str(n) * size)]
    told += events.tool_call("c", "tool", "x" * (2 * events.PIECE_CHARACTERS + 5))
    merged = events.merged(told)
    lengths = [len(event["delta"]) for event in merged if "delta" in event]
    assert max(lengths) <= events.PIECE_CHARACTERS
    for kind in ("TEXT_MESSAGE_CONTENT", "TOOL_CALL_ARGS"):
        whole = ["".join(e["delta"] for e in made if e["type"] == kind) for made in (told, merged)]
        assert whole[0] == whole[1]
    assert events.merged(merged) == merged
    for event in merged:
        AG_UI.validate_json(compact(event))


def test_events_are_written_in_batches_that_a_tool_call_is_never_divided_by():
    text = events.text_message("a", "x" * 3 * events.BATCH_CHARACTERS)
    call = events.tool_call("c", "tool", "y" * 2 * events.BATCH_CHARACTERS)
    told = events.merged([*text, *call, *events.custom("x", 1)])
    batches = events.batches(told)
    assert [event for batch in batches for event in batch] == told
    assert len(batches) == 5
    assert all("TOOL_CALL_START" in _kinds(b) for b in batches if "TOOL_CALL_ARGS" in _kinds(b))
    sizes = [sum(len(compact(e)) for e in b) for b in batches if "TOOL_CALL_ARGS" not in _kinds(b)]
    assert max(sizes) < 1.2 * events.BATCH_CHARACTERS
    assert events.batches([]) == [[]]


def _kinds(batch: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in batch]


def test_a_shortened_text_says_how_much_is_missing():
    assert events.shortened("abcd", 4) == "abcd"
    assert events.shortened("x" * 1_234, 3) == "xxx… (1,231 characters more)"

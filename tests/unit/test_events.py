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

"""What a crew works on, when an AG-UI client runs it."""

from typing import Any

import pytest

from core.crews.definition import Definition
from core.errors import InvalidInputError
from functions._agui.run_input import RunInput, crew_inputs
from functions._http import models
from infra.crews import parse
from tests.e2e.agui_parts import SAID, asked
from tests.e2e.apps import HAIKU
from tests.pace import cpu_seconds_under

CREW = parse(HAIKU)


@pytest.mark.parametrize(
    ("more", "inputs"),
    [
        ({"forwardedProps": {"inputs": {"topic": "snow"}}}, {"topic": "snow"}),
        ({"state": {"inputs": {"topic": "fog"}}}, {"topic": "fog"}),
        ({"messages": [SAID, {"id": "m2", "role": "assistant", "content": "Oh"}]}, {"topic": "rain"}),
        (
            {"messages": [SAID, {"id": "m2", "role": "user", "content": [{"type": "text", "text": "ice"}]}]},
            {"topic": "ice"},
        ),
        ({"state": {"id": "fl_1", "status": "succeeded"}}, {"topic": "rain"}),
    ],
)  # fmt: skip
def test_inputs_come_from_where_a_client_can_put_them(more: dict[str, Any], inputs: dict[str, Any]):
    assert crew_inputs(RunInput.model_validate(asked(**more)), CREW) == inputs


def test_a_crew_that_wants_nothing_gets_nothing():
    crew = Definition.model_validate(CREW.model_dump() | {"tasks": _tasks(), "inputs": {}})
    assert crew_inputs(RunInput.model_validate(asked()), crew) == {}


def _tasks() -> dict[str, Any]:
    return {"write": {"description": "Write", "expected_output": "A haiku", "agent": "poet"}}


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"messages": []}, "/forwardedProps/inputs"),
        ({"messages": [{"id": "m", "role": "user", "content": ""}]}, "/forwardedProps/inputs"),
        ({"forwardedProps": {"inputs": "rain"}}, "/forwardedProps/inputs"),
        ({"state": {"inputs": []}}, "/state/inputs"),
    ],
)
def test_a_run_without_inputs_is_told_where_to_put_them(more: dict[str, Any], pointer: str):
    with pytest.raises(InvalidInputError) as caught:
        crew_inputs(RunInput.model_validate(asked(**more)), CREW)
    assert list(caught.value.pointers) == [pointer]


@pytest.mark.parametrize("schema", [True, {}, {"type": ["string", "null"]}])
def test_a_message_is_no_input_where_the_schema_does_not_ask_for_a_text(schema: Any):
    inputs = {"type": "object", "required": ["topic"], "properties": {"topic": schema}}
    crew = Definition.model_validate(CREW.model_dump() | {"inputs": inputs})
    with pytest.raises(InvalidInputError, match="does not say"):
        crew_inputs(RunInput.model_validate(asked()), crew)


def test_a_message_is_no_input__where_a_crew_wants_more_than_one_text():
    schema = {
        "type": "object",
        "required": ["topic", "season"],
        "properties": {"topic": {"type": "string"}, "season": {"type": "string"}},
    }
    crew = Definition.model_validate(CREW.model_dump() | {"inputs": schema})
    with pytest.raises(InvalidInputError, match="does not say") as caught:
        crew_inputs(RunInput.model_validate(asked()), crew)
    assert caught.value.pointers == {
        "/forwardedProps/inputs": "must be an object with: topic, season"
    }


def test_a_conversation_of_very_many_messages_is_refused_in_little_time():
    """While one is checked no other request of the process is answered."""
    run: dict[str, Any] = {
        "threadId": "t",
        "runId": "r",
        "messages": [{"id": "", "role": "", "a": {}}] * 2_000,
    }
    models.parse(run, RunInput, "no")
    with cpu_seconds_under(0.2), pytest.raises(InvalidInputError) as refused:
        models.parse(run | {"messages": run["messages"] * 20}, RunInput, "no")
    assert refused.value.pointers == {"/messages": "must have 2000 members at most"}

"""How inputs get into the texts of a crew: as CrewAI has it, once, and into all of them."""

from typing import Any

import pytest

from core.crews import strategies
from core.crews.definition import Definition
from tests.unit.strategy_parts import said

PROPERTIES = {"topic": {}, "customerName": {}, "Topic": {}, "topic-x": {}, "_under": {}, "rows": {}}


def crew(**texts: str) -> Definition:
    agent = {"role": "Clerk", "goal": "Write", "backstory": "Wrote"}
    task = {"description": "Write", "expected_output": "A letter", "agent": "clerk"}
    return Definition.model_validate(
        {
            "name": "letter", "description": "d", "process": "sequential",
            "inputs": {"type": "object", "properties": PROPERTIES},
            "agents": {"clerk": agent | {k: v for k, v in texts.items() if k in agent}},
            "tasks": {"draft": task | {k: v for k, v in texts.items() if k in task}},
        }
    )  # fmt: skip


@pytest.mark.parametrize("field", ["role_text", "goal", "backstory"])
def test_an_agent_is_told_the_inputs(field: str):
    written = {field.removesuffix("_text"): "{topic} senior\n"}
    filled = crew(**written).filled({"topic": "AI LLMs"})
    assert getattr(filled.agents["clerk"], field) == "AI LLMs senior\n"  # as CrewAI tells it
    assert "\n" not in filled.agents["clerk"].role  # a name in states and events


@pytest.mark.parametrize("name", PROPERTIES)
def test_an_input_may_have_every_name_that_crewai_fills(name: str):
    filled = crew(description=f"On {{{name}}}.").filled({name: "rain"})
    assert filled.tasks["draft"].description == "On rain."


def test_titles_and_roles_are_shown_with_the_inputs_in_them():
    definition = crew(role="{topic}\n desk\n", expected_output="All on {topic}").filled(
        {"topic": "rain"}
    )
    (step,) = strategies.initial_steps(definition)
    assert (step.title, step.agent) == ("All on rain", "rain desk")
    (result,) = strategies.TaskGraph(definition).task_results({"draft": said("x")}).values()
    assert result.agent == "rain desk"


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{topic}} is {topic}", "{topic} is {topic-x}"),
        ('{"a": {rows}}', '{"a": [1]}'),
        ("function() { return x }", "function() { return x }"),
        ("{not_declared} {1} {}", "{not_declared} {1} {}"),
        ("{_under}", "null"),
    ],
)
def test_braces_are_filled_once_and_others_stay(text: str, filled: str):
    inputs: dict[str, Any] = {"topic": "{topic-x}", "topic-x": "no", "rows": [1]}
    definition = crew(description=text, role=text).filled(inputs)
    assert definition.tasks["draft"].description == filled
    assert definition.agents["clerk"].role == filled
    assert definition.filled(inputs | {"rows": 2}) == definition

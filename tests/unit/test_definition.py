"""What a crew's definition may say, and how a sequential one is run through."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.crews import strategies
from core.crews.definition import Registry, parse
from core.errors import InvalidInputError, NotFoundError

CREW: dict[str, Any] = {
    "name": "brief",
    "description": "Writes a brief.",
    "process": "sequential",
    "inputs": {
        "type": "object",
        "additionalProperties": False,
        "required": ["topic"],
        "properties": {"topic": {"type": "string"}, "words": {"type": "integer", "default": 50}},
    },
    "agents": {"writer": {"role": "Writer", "goal": "Write", "backstory": "Wrote"}},
    "tasks": {
        "draft": {"description": "Draft {topic}", "expected_output": "A draft", "agent": "writer"},
        "check": {"description": "Check", "expected_output": "Notes", "agent": "writer"},
        "final": {
            "description": "Finish", "expected_output": "A brief", "agent": "writer",
            "context": ["draft"],
        },
    },
}  # fmt: skip


def written(**changes: Any) -> str:
    return yaml.safe_dump(CREW | changes, sort_keys=False)


def with_task(**changes: Any) -> str:
    return written(tasks=CREW["tasks"] | {"draft": CREW["tasks"]["draft"] | changes})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (with_task(agent="nobody"), "no such agent: nobody"),
        (with_task(context=["final"]), "no earlier task: final"),
        (with_task(description="On {tpoic}"), "no such input: tpoic"),
        (with_task(output_schema={"type": "strnig"}), "not a JSON Schema"),
        (with_task(code="import os"), "Extra inputs"),
        (written(process="consensual"), "sequential"),
        (written(tasks={}), "at least 1"),
        (written(name="No Name"), "pattern"),
        ("- a list", "not a crew"),
        ("a: [", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_a_definition_that_cannot_work_is_refused_with_the_reason(text: str, complaint: str):
    with pytest.raises(InvalidInputError, match=complaint):
        parse(text)


def test_inputs_are_filled_with_defaults_and_checked():
    crew = parse(written())
    assert crew.fill({"topic": "rain"}) == {"topic": "rain", "words": 50}
    with pytest.raises(InvalidInputError) as refused:
        crew.fill({"words": "many", "secret": "hunter2"})
    told = f"{refused.value} {refused.value.pointers}"
    assert "/inputs/words" in refused.value.pointers
    assert "topic" in told
    assert "hunter2" not in told
    assert "many" not in told


def test_the_digest_tells_one_text_from_another():
    assert parse(written()).digest() == parse(written()).digest()
    assert parse(written()).digest() != parse(with_task(expected_output="Else")).digest()


def test_a_sequential_crew_is_a_chain_to_the_last_output():
    crew, results = parse(written()), dict[str, Any]()
    for name in ("draft", "check", "final"):
        assert strategies.ready(crew, results) == [name]
        results[name] = {"output": name.upper()}
    assert strategies.ready(crew, results) == strategies.End("FINAL")


def test_a_task_is_told_its_context_or_else_all_that_was_before():
    crew = parse(written())
    assert strategies.context(crew, "draft") == []
    assert strategies.context(crew, "check") == ["draft"]
    assert strategies.context(crew, "final") == ["draft"]


def test_the_registry_knows_the_crews_in_its_folder(tmp_path: Path):
    (tmp_path / "brief").mkdir()
    (tmp_path / "brief" / "crew.yaml").write_text(written())
    (tmp_path / "notes").mkdir()
    registry = Registry(tmp_path)
    assert registry.names() == ["brief"]
    assert registry.get("brief").name == "brief"
    for name in ("notes", "../brief"):
        with pytest.raises(NotFoundError):
            registry.get(name)


def test_every_crew_of_this_repository_is_well_written():
    registry = Registry(Path("crews"))
    assert "import_mapping" in registry.names()
    for name in registry.names():
        assert registry.get(name).name == name

"""What a crew's definition may say, and where crews are found."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.crews.definition import (
    Agent,
    Consensus,
    CrewFileError,
    Definition,
    Limits,
    Registry,
    StoredDefinitionError,
    Task,
)
from core.crews.strategies import Ready, TaskGraph
from core.errors import InvalidInputError, NotFoundError
from core.flows import Step
from infra.crews import parse
from infra.crews.crew_yaml import patched
from tests.crew_folders import crews_in

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


WRITER = CREW["agents"]["writer"]
EDITOR = {"role": "Editor", "goal": "Edit", "backstory": "Edited"}
DRAFT = {"description": "Draft {topic}", "expected_output": "A draft"}
AGREE: dict[str, Any] = {"agents": ["writer", "editor"]}


def in_parallel(*names: str) -> dict[str, Any]:
    tasks = CREW["tasks"]
    return tasks | {name: tasks[name] | {"async_execution": True} for name in names}


def managed(**changes: Any) -> str:
    parts: dict[str, Any] = {
        "process": "hierarchical", "manager": "writer", "tasks": {"draft": DRAFT},
        "agents": {"writer": WRITER, "editor": EDITOR},
    }  # fmt: skip
    return written(**parts | changes)


def agreeing(**changes: Any) -> str:
    parts: dict[str, Any] = {
        "process": "consensus", "consensus": AGREE, "tasks": {"draft": DRAFT},
        "agents": {"writer": WRITER, "editor": EDITOR},
    }  # fmt: skip
    return written(**parts | changes)


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
        (with_task(output_schema={"type": "strnig"}), "no type 'strnig' in JSON Schema"),
        (written(inputs={"$ref": "https://example.com/schema"}), "not a JSON Schema"),
        (written(inputs={"$ref": "#/$defs/none"}), "not a JSON Schema"),
        (with_task(code="import os"), "line 25: /tasks/draft/code: there is no such key"),
        (written(process="consensual"), "sequential"),
        (with_task(agent=None), "task draft: no agent"),
        (with_task(max_execution_time=0), "more than 0"),
        (with_task(guardrails=[""]), "must not be empty"),
        (written(manager="writer"), "a sequential crew has no manager"),
        (written(extends="other"), "/extends: there is no such key"),
        (written(tasks=in_parallel("check", "final")), "may end with one task"),
        (written(agents={"writer": WRITER | {"allow_delegation": True}}), "hierarchical delegates"),
        (managed(manager=None), "names its manager"),
        (managed(manager="nobody"), "manager: no such agent: nobody"),
        (managed(agents={"writer": WRITER}), "needs another agent"),
        (managed(tasks={"draft": DRAFT | {"agent": "writer"}}), "who does not work"),
        (managed(tasks={"draft": DRAFT | {"async_execution": True}}), "for sequential crews"),
        (managed(consensus=AGREE), "has no consensus"),
        (agreeing(consensus=None), "who proposes"),
        (agreeing(consensus={"agents": ["writer"]}), "must have 2 members"),
        (agreeing(consensus={"agents": ["writer", "writer"]}), "named twice"),
        (agreeing(consensus={"agents": ["writer", "ghost"]}), "no such agent: ghost"),
        (agreeing(consensus=AGREE | {"judge": "editor"}), "does not propose"),
        (agreeing(consensus=AGREE | {"tie": "judge"}), "needs a judge"),
        (agreeing(tasks={"draft": DRAFT | {"agent": "editor"}}), "name none here"),
        (written(tasks={}), "must not be empty"),
        (written(name="No Name"), "/name: must be a name"),
        ("- a list", "must be a mapping, not list"),
        ("a: [", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_a_definition_that_cannot_work_is_refused_with_the_reason(text: str, complaint: str):
    with pytest.raises(InvalidInputError, match=complaint):
        parse(text)


def test_inputs_are_filled_with_defaults_and_checked():
    crew = parse(written())
    assert crew.with_defaults({"topic": "rain"}) == {"topic": "rain", "words": 50}
    with pytest.raises(InvalidInputError) as refused:
        crew.with_defaults({"words": "many", "secret": "hunter2"})
    told = f"{refused.value} {refused.value.pointers}"
    assert "/inputs/words" in refused.value.pointers
    assert "topic" in told
    assert "hunter2" not in told
    assert "many" not in told


def test_the_digest_tells_one_text_from_another():
    assert parse(written()).digest() == parse(written()).digest()
    assert parse(written()).digest() != parse(with_task(expected_output="Else")).digest()


def test_the_registry_knows_the_crews_in_its_folder(tmp_path: Path):
    (tmp_path / "notes").mkdir()
    registry = crews_in(tmp_path, brief=written())
    assert registry.names() == ["brief"]
    assert registry.get("brief").name == "brief"
    for name in ("notes", "../brief"):
        with pytest.raises(NotFoundError):
            registry.get(name)


def test_the_three_processes_are_read_with_their_parts():
    assert parse(managed()).manager == "writer"
    agreed = parse(agreeing()).consensus
    assert agreed is not None
    assert (agreed.threshold, agreed.max_rounds, agreed.tie) == (0.66, 2, "first")
    assert parse(written()).consensus is None


def test_a_definition_that_an_older_release_stored_is_still_read():
    """As a flow had it that was launched before guardrails, limits of time and other processes."""
    stored = {
        "name": "brief", "description": "d", "process": "sequential",
        "inputs": {"type": "object", "additionalProperties": False},
        "agents": {"a": {"role": "Writer", "tools": [], "max_iter": 20}},  # no goal, no backstory
        "tasks": {
            "t": {"description": "d", "agent": "a", "context": None, "tools": None,
                  "output_schema": None, "retries": 0, "max_execution_time": None},
        },
        "limits": {"max_attempts": 5},
    }  # fmt: skip
    crew = Definition.from_stored(stored)
    agent, task = crew.agents["a"], crew.tasks["t"]
    assert (agent.role, agent.goal, agent.max_rpm) == ("Writer", "", None)
    assert (task.expected_output, task.guardrails, task.max_execution_time) == ("", [], 900)
    assert (crew.limits, crew.manager) == (Limits(), None)
    assert TaskGraph(crew.filled({})).next_action({}) == Ready((Step("t", "", "Writer"),))


@pytest.mark.parametrize("text", [written(), managed(), agreeing()])
def test_a_definition_that_a_newer_release_stored_is_still_read(text: str):
    """With fields that are unknown here in every part of it, and values that are too large here."""
    crew = parse(text)
    stored = crew.model_dump(mode="json")
    parts = [stored, *stored["agents"].values(), *stored["tasks"].values(), stored["limits"]]
    for part in [*parts, *filter(None, [stored["consensus"]])]:
        part["of_another_version"] = {"a": [1]}
    assert Definition.from_stored(stored) == crew
    stored["limits"]["max_attempts"] = 1000
    assert Definition.from_stored(stored).limits.max_attempts == 1000
    with pytest.raises(CrewFileError):
        parse(yaml.safe_dump(stored))


@pytest.mark.parametrize(
    ("part", "value", "complaint"),
    [
        ("process", "parallel", "no process 'parallel' in this version"),
        ("process", None, "no process None"),
        ("agents", ["a"], "its agents are not"),
        ("tasks", {"t": "do it"}, "its tasks are not"),
        ("tasks", None, "its tasks are not"),
    ],
)
def test_a_stored_definition_that_this_version_cannot_run_is_refused_in_words(
    part: str, value: object, complaint: str
):
    stored = parse(written()).model_dump(mode="json") | {part: value}
    with pytest.raises(StoredDefinitionError, match=complaint):
        Definition.from_stored(stored)


def test_a_pinned_definition_is_the_same_when_it_is_read_again():
    for text in (written(), managed(), agreeing()):
        crew = parse(text)
        again = Definition.from_stored(crew.model_dump(mode="json"))
        assert again == crew
        assert again.digest() == crew.digest()


VARIANT = """
extends: brief
name: short
inputs: {properties: {words: {default: 5}}}
tasks: {check: null, final: {context: null}}
"""


def test_a_crew_that_extends_another_is_that_one_with_its_own_words(tmp_path: Path):
    registry = crews_in(tmp_path, brief=written(), short=VARIANT)
    assert registry.names() == ["brief", "short"]
    short = registry.get("short")
    assert list(short.tasks) == ["draft", "final"]
    assert short.tasks["final"].context is None
    assert short.with_defaults({"topic": "rain"}) == {"topic": "rain", "words": 5}
    assert short.agents == registry.get("brief").agents


def test_the_digest_is_of_the_whole_crew_so_it_changes_with_what_is_extended(tmp_path: Path):
    crew = {"brief": written(), "short": VARIANT}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before = crews_in(tmp_path / "a", **crew).get("short")
    after = crews_in(tmp_path / "b", **crew | {"brief": with_task(description="Else")}).get("short")
    assert before.digest() != after.digest()


@pytest.mark.parametrize("base", ["short", "nobody", "loop", "../brief"])
def test_a_crew_extends_no_crew_that_is_not_there_or_leads_back_to_it(tmp_path: Path, base: str):
    registry = crews_in(
        tmp_path,
        brief=written(),
        short=VARIANT.replace("extends: brief", f"extends: {base}"),
        loop="{extends: short, name: loop}",
    )
    with pytest.raises(InvalidInputError, match="cannot extend"):
        registry.get("short")


def test_a_patch_is_the_one_of_rfc_7396():
    assert patched({"a": "b", "c": {"d": "e", "f": "g"}}, {"a": "z", "c": {"f": None}}) == {
        "a": "z",
        "c": {"d": "e"},
    }
    assert patched({"a": [1, 2], "e": None}, {"a": [3]}) == {"a": [3], "e": None}
    assert patched([1], {"a": {"b": None}}) == {"a": {}}


def test_every_crew_of_this_repository_is_well_written():
    registry = Registry(Path("crews"))
    assert "import_mapping" in registry.names()
    for name in registry.names():
        assert registry.get(name).name == name


def test_the_crew_in_the_documentation_is_one():
    text = Path("docs/crews.md").read_text("utf-8")
    crew = parse(text.partition("```yaml\n")[2].partition("```")[0])
    assert crew.with_defaults({"topic": "rain"}) == {"topic": "rain"}


def test_the_documentation_names_every_field():
    text = Path("docs/crews.md").read_text("utf-8")
    for words in (Agent, Task, Consensus, Limits):
        for name in words.model_fields:
            assert f"`{name}`" in text or f"`{words.__name__.lower()}.{name}`" in text, name

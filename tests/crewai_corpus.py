"""Projects as CrewAI's CLI makes them, for tests: each field that Crewline takes, in the project's own words."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Project = dict[str, Any]  # crew.jsonc, with agents by name in the place of their names

WRITER = {"role": "Writer of {topic}", "goal": "Write on {topic}", "backstory": "You know {topic}."}
READER = {"role": "Reader", "goal": "Read", "backstory": "You read."}
MANAGER = {"role": "Editor", "goal": "Edit", "backstory": "You edit."}


def task(name: str | None = None, agent: str = "writer", **fields: Any) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    text = f"Do {name or 'it'} on {{topic}}."
    return {**named, "description": text, "expected_output": "A text.", "agent": agent, **fields}


def project(
    *tasks: dict[str, Any], agents: Mapping[str, Any] | None = None, **more: Any
) -> Project:
    defaults = {"topic": "tea"}
    return {"name": "A crew", "agents": agents or {"writer": WRITER, "reader": READER},
            "tasks": [*tasks], "inputs": defaults, **more}  # fmt: skip


CORPUS: dict[str, Project] = {
    "one_task": project(task("draft")),
    "inputs_everywhere": project(
        task("draft", description="On {topic}, for {Reader-Name}.", expected_output="{count} words"),
        inputs={"topic": "tea", "Reader-Name": "Ann", "count": 5},
    ),
    "three_in_a_row": project(task("draft"), task("edit", "reader"), task("final")),
    "named_context": project(
        task("draft"), task("edit", "reader"), task("final", context=["draft"]), task("end", context=["edit", "draft"])
    ),
    "no_context": project(task("draft"), task("fresh", "reader", context=[])),
    "side_by_side": project(
        task("left", async_execution=True), task("right", "reader", async_execution=True),
        task("join", context=["left", "right"]),
    ),
    "side_by_side_untold": project(
        task("draft"), task("left", async_execution=True), task("right", "reader", async_execution=True), task("join"),
    ),
    "ends_beside": project(task("draft"), task("left", "reader", async_execution=True)),
    "nameless_tasks": project(task(), task(agent="reader"), task()),
    "names_of_all_kinds": project(
        task("Research Task", "Lead-1"), task("écrire", "Lead-1", context=["Research Task"]),
        agents={"Lead-1": WRITER},
    ),
    "settings": project(
        task("draft", tools=[], human_input=False, markdown=False, guardrails=[]),
        agents={"writer": {**WRITER, "type": "Agent", "tools": [], "max_iter": 7,
                           "settings": {"verbose": True, "allow_delegation": False, "max_rpm": None,
                                        "respect_context_window": True, "use_system_prompt": True}}},
        process="sequential", verbose=True, cache=True, planning=False, stream=False, tracing=False,
        knowledge_sources=[], max_rpm=None,
    ),
    "braces_of_ones_own": project(
        task("draft", description='Answer as {"topic": "...", "n": [1]} on {topic}; { topic } and {} stay.')
    ),
    "lines": project(
        task("draft", description="First {topic}.\n\n  Then more.\n"),
        agents={"writer": {"role": "Writer\nof two lines", "goal": " Write ", "backstory": "Long.\n\nVery.\n"}},
    ),
    "unicode": project(task("draft", description="Schreib über {topic} — „schön“ 🫖."), inputs={"topic": "Käse"}),
}  # fmt: skip


def written(folder: Path, name: str, made: Project) -> Path:
    """Write a project as CrewAI's CLI does, comments and a trailing comma included; return its folder."""
    root = folder / name
    (root / "agents").mkdir(parents=True)
    crew = json.dumps({**made, "agents": [*made["agents"]]}, indent=2, ensure_ascii=False)
    (root / "crew.jsonc").write_text(
        f"// A crew: {{}} \n{crew.removesuffix('}').rstrip()}, /* end */\n}}\n"
    )
    for agent, fields in made["agents"].items():
        (root / "agents" / f"{agent}.jsonc").write_text(json.dumps(fields, ensure_ascii=False))
    return root

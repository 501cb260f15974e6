"""Small crews, one for each strategy, and what the counting model answers to each of their steps.

What a step is answered depends on its id alone, so a flow comes to the same output however often its
workers are killed; the answers are such that work is sent back and a vote is tied once.
"""

import json
from dataclasses import dataclass
from typing import Any

from core.crews import strategies
from core.crews.definition import Definition
from core.crews.launch import time_limit_ms
from core.crews.ledger import Launch

AGENTS = ("ana", "ben", "cleo")
STRATEGIES = ("sequential", "hierarchical", "consensus")
CALLS_PER_STEP = 2  # of the light runner


@dataclass(frozen=True)
class Expected:
    """What a flow of a crew comes to when nothing goes wrong."""

    steps: frozenset[str]
    output: Any


def _crew(process: str, tasks: dict[str, Any], limits: dict[str, int], **parts: Any) -> Definition:
    agents = {name: {"role": name.title(), "goal": "g", "backstory": "b"} for name in AGENTS}
    given = {name: {"description": f"Do {name}.", "expected_output": "text", **task}
             for name, task in tasks.items()}  # fmt: skip
    return Definition.model_validate(
        {"name": process, "description": "d", "process": process, "agents": agents,
         "tasks": given, "limits": {"max_attempts": 20, **limits}, **parts}
    )  # fmt: skip


def a_crew(process: str, **limits: int) -> Definition:
    """A crew of this process in which some steps may run side by side."""
    if process == "sequential":
        tasks = {
            "one": {"agent": "ana", "async_execution": True},
            "two": {"agent": "ben", "async_execution": True, "context": []},
            "three": {"agent": "cleo"},
            "four": {"agent": "ana"},
        }
        return _crew(process, tasks, limits)
    if process == "hierarchical":
        return _crew(process, {"weigh": {}}, limits, manager="ana")
    rules = {"agents": ["ana", "ben"], "threshold": 1, "max_rounds": 2}
    return _crew(process, {"weigh": {}}, limits, consensus=rules)


def in_a_row(*, human_input: bool = False, **limits: int) -> Definition:
    """A sequential crew of three tasks, one after the other; a person may review the second."""
    tasks: dict[str, Any] = {name: {"agent": "ana"} for name in ("one", "two", "three")}
    tasks["two"]["human_input"] = human_input
    return _crew("sequential", tasks, limits)


def answer(step: str) -> str:
    """Return what the model says in a step; JSON where the step is to come to JSON."""
    said = _answer(*step.split("."))
    return said if isinstance(said, str) else json.dumps(said)


def _answer(task: str, *words: str) -> Any:
    match words:
        case ["plan"]:
            parts = [{"worker": worker, "description": f"part of {worker}", "expected_output": "t"}
                     for worker in ("ben", "cleo")]  # fmt: skip
            said: Any = {"subtasks": parts}
        case ["result", "1"]:
            said = {"send_back": [{"subtask": 2, "reason": "too short"}]}
        case ["result", _]:
            said = {"output": f"the manager's word on {task}"}
        case ["proposal", "1", agent]:
            said = f"what {agent} thinks of {task}"
        case ["proposal", _, _]:
            said = f"what both think of {task}"
        case ["verdict", _, agent]:
            said = {"choice": 1 if agent == "ana" else 2, "reason": "it is better"}
        case _:
            said = f"answer to {'.'.join((task, *words))}"
    return said


def as_result(text: str, schema: dict[str, Any] | None, padding: int = 0) -> dict[str, Any]:
    """Return the result of a step as the light runner makes it of the model's answer."""
    raw = text + "." * padding
    return {"output": raw if schema is None else json.loads(text), "raw": raw}


def expected(
    definition: Definition, results: dict[str, Any] | None = None, *, padding: int = 0
) -> Expected:
    """Return what a flow comes to: the strategy played through by hand. Every person approves."""
    done = dict(results or {})
    tasks = strategies.TaskGraph(definition)
    while not isinstance(ready := tasks.next_action(done), strategies.End):
        if isinstance(ready, strategies.Wait):
            done[ready.name] = strategies.review_answer(True, "")
        else:
            done |= {step.id: _result(definition, done, step.id, padding) for step in ready.steps}
    steps = frozenset(step for step in done if ".review." not in step)
    return Expected(steps, ready.output)


def _result(
    definition: Definition, results: dict[str, Any], step: str, padding: int
) -> dict[str, Any]:
    schema = strategies.TaskGraph(definition).prompt(results, step).output_schema
    return as_result(answer(step), schema, padding)


def a_launch(definition: Definition, flow: str) -> Launch:
    """Return what launching a crew asks of the ledger."""
    return Launch(
        flow=flow,
        digest="d",
        incarnation="0" * 8,
        crew=definition.name,
        definition=definition.model_dump(mode="json"),
        definition_digest=definition.digest(),
        inputs={},
        steps=strategies.initial_steps(definition),
        created_ms=0,
        time_limit_ms=time_limit_ms(definition),
    )

"""What the tests of the strategies ask with: crews of a few words, results, and prompts."""

from typing import Any

from core.crews import strategies
from core.crews.crew_runner import Prompt
from core.crews.definition import Definition
from core.crews.strategies import Ready
from tests.unit.crews_of_all_kinds import agent, crew, task

ANSWER = {"type": "object", "required": ["n"], "properties": {"n": {"type": "number"}}}


def said(value: Any) -> dict[str, Any]:
    return {"output": value, "raw": value if isinstance(value, str) else f"<{value}>"}


def now(definition: Definition, results: dict[str, Any]) -> list[str]:
    found = strategies.TaskGraph(definition).next_action(results)
    assert isinstance(found, Ready)
    return [step.id for step in found.steps]


def asked(definition: Definition, results: dict[str, Any], step: str, **inputs: Any) -> Prompt:
    assert step in now(definition, results)
    return strategies.TaskGraph(definition.filled(inputs)).prompt(results, step)


def told(prompt: Prompt) -> list[str]:
    return [each.text for each in prompt.context]


def approved(approve: bool, feedback: str = "") -> dict[str, Any]:
    return strategies.review_answer(approve, feedback)


def chain(**changes: Any) -> Definition:
    tasks = {name: task(agent="ana") for name in ("draft", "check", "final")}
    return crew(tasks={name: each | changes.get(name, {}) for name, each in tasks.items()})


def managed(**changes: Any) -> Definition:
    asked_for: dict[str, Any] = {
        "process": "hierarchical",
        "manager": "ana",
        "agents": {"ana": agent(), "ben": agent(tools=["look"]), "cleo": agent()},
        "tasks": {"weigh": task(output_schema=ANSWER, guardrails=["short"])},
    }
    return crew(**asked_for | changes)


PLAN = {
    "subtasks": [
        {"worker": "ben", "description": "Look left", "expected_output": "Left"},
        {"worker": "cleo", "description": "Look right", "expected_output": "Right"},
    ]
}
WORKED = {"weigh.plan": said(PLAN), "weigh.work.1.1": said("l"), "weigh.work.1.2": said("r")}
BACK = said({"send_back": [{"subtask": 2, "reason": "Too far"}]})


def agreeing(**changes: Any) -> Definition:
    rules = {"agents": ["ana", "ben", "cleo"]} | changes
    agents = {name: agent() for name in ("ana", "ben", "cleo", "dan", "judge")}
    return crew(
        process="consensus",
        agents=agents,
        consensus=rules,
        tasks={"weigh": task(human_input=False)},
    )


def proposed(turn: int, **texts: str) -> dict[str, Any]:
    return {f"weigh.proposal.{turn}.{name}": said(text) for name, text in texts.items()}


def voted(definition: Definition, results: dict[str, Any], turn: int, **choices: str):
    """Votes by the text that is voted for."""
    context = strategies.TaskGraph(definition).prompt(results, f"weigh.verdict.{turn}.ana").context
    number = {each.text.splitlines()[1]: n for n, each in enumerate(context, 1)}
    return {
        f"weigh.verdict.{turn}.{name}": said({"choice": number[text], "reason": f"{text}!"})
        for name, text in choices.items()
    }

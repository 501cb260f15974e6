"""How the offline model takes part in a crew that plans, votes or judges.

What is asked of it, it is handed as data; what it is told, it reads in the prompt. It does what a model of no imagination would. It plans a subtask for each worker whose goal is near
the task; as a manager it answers the task from what its workers said, and sends nothing back; it
votes for the proposal that is nearest to what it would have answered itself; and of a rule for an
answer it checks what can be counted, and says so where it cannot check.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import combinations
from statistics import fmean
from typing import Any, cast

from core.adapters.crewai.asked import RuleCheck
from core.adapters.offline.examples import example
from core.adapters.offline.quotes import joined, split, words
from core.crews.crew_runner import Prompt, StepKind, StepTask

Own = Callable[[str], str]  # what the model answers to a prompt when nothing of this is asked

_LIMIT = re.compile(
    r"(?:at most|no more than|up to) (?P<most>\d+) (?P<unit>word|character|line|sentence)s?\b",
    re.IGNORECASE,
)
_COUNTED: dict[str, Callable[[str], int]] = {
    "word": lambda text: len(text.split()),
    "character": len,
    "line": lambda text: len(text.splitlines()),
    "sentence": lambda text: len(re.findall(r"[.!?](?=\s|$)", text)),
}


def answer(asked: StepTask | RuleCheck | None, prompt: str, own: Own) -> str | None:
    """Answer when asked to plan, to put together, to choose, to check, or for JSON; else None."""
    match asked:
        case RuleCheck(rule, checked):
            said = _check(rule, checked)
        case StepTask(prompt=Prompt(kind=StepKind.PLAN)):
            said = _plan(asked)
        case StepTask(prompt=Prompt(kind=StepKind.AGGREGATE)):
            said = _put_together(asked.prompt, prompt, own)
        case StepTask(prompt=Prompt(kind=StepKind.VERDICT)):
            said = _choose(asked.prompt, prompt, own)
        case StepTask(prompt=Prompt(output_schema=dict() as schema)):
            answered = own(prompt)
            return answered if _json(answered) is not None else _example(schema, answered)
        case _:
            return None
    return json.dumps(said, ensure_ascii=False)


def _example(schema: dict[str, Any], text: str) -> str:
    return json.dumps(example(schema, text), ensure_ascii=False)


def _properties(asked: Prompt) -> dict[str, Any]:
    return (asked.output_schema or {})["properties"]


def _plan(asked: StepTask) -> dict[str, Any]:
    """Return a subtask for each worker whose role and goal are near the task."""
    subtasks = _properties(asked.prompt)["subtasks"]
    names: list[str] = subtasks["items"]["properties"]["worker"]["enum"]
    workers = {name: asked.definition.agents[name] for name in names}
    order = words(asked.prompt.description.strip().partition("\n\n")[0])
    near = {n: len(order & words(f"{n} {w.role} {w.goal}")) for n, w in workers.items()}
    enough = max(near.values(), default=0) / 3  # a worker for something else is left out
    expected = asked.definition.tasks[asked.prompt.task].expected_output
    return {
        "subtasks": [
            {
                "worker": name,
                "description": f"As {worker.role}: {worker.goal}",
                "expected_output": expected,
            }
            for name, worker in workers.items()
            if near[name] >= enough
        ][: subtasks["maxItems"]]
    }


def _put_together(asked: Prompt, prompt: str, own: Own) -> dict[str, Any]:
    answers = list(_numbered(asked, "subtask", "\n\n").values())
    if _is_text(_properties(asked)["output"]):
        return {"output": answers[0] if len(answers) == 1 else own(prompt)}
    values = (_json(text) for text in [own(prompt), *reversed(answers)])
    return {"output": next((value for value in values if value is not None), None)}


def _is_text(schema: Any) -> bool:
    return isinstance(schema, dict) and cast("dict[str, Any]", schema).get("type") == "string"


def _choose(asked: Prompt, prompt: str, own: Own) -> dict[str, Any]:
    shown = _numbered(asked, "proposal", "\n")
    proposed = {item.text.strip() for item in asked.context if item.title.startswith("proposal ")}
    task, context = split(prompt)
    mine = own(joined(task, [part for part in context if part.strip() not in proposed]))
    allowed: list[int] = _properties(asked)["choice"]["enum"]
    choice = max(allowed, key=lambda number: _likeness(mine, shown.get(number, "")))
    said: dict[str, Any] = {
        "choice": choice,
        "reason": "It is the nearest to what the offline model would have answered itself.",
    }
    if "agreement" in _properties(asked):
        pairs = [_likeness(one, other) for one, other in combinations(shown.values(), 2)]
        said["agreement"] = round(fmean(pairs or [1.0]), 3)
    return said


def _numbered(asked: Prompt, what: str, heading_ends: str) -> dict[int, str]:
    """Return the numbered answers that the context holds, by their titles, without their headings."""
    items = (item for item in asked.context if item.title.startswith(f"{what} "))
    return {int(item.title.split()[1]): item.text.partition(heading_ends)[2] for item in items}


def _check(rule: str, answer: str) -> dict[str, Any]:
    limit = _LIMIT.search(rule)
    if limit is None:
        return {"valid": True, "reason": "The offline model cannot check this rule."}
    counted = _COUNTED[limit["unit"].casefold()](answer)
    if counted <= int(limit["most"]):
        return {"valid": True, "reason": None}
    reason = f"It has {counted} {limit['unit']}s; {limit['most']} are allowed."
    return {"valid": False, "reason": reason}


def _likeness(one: str, other: str) -> float:
    """Return the share of what either says that both say, from 0 to 1."""
    first, second = _claims(one), _claims(other)
    return len(first & second) / len(first | second) if first | second else 1.0


def _claims(text: str) -> set[str]:
    value = _json(text)
    return words(text) if value is None else set(_leaves(value, ""))


def _leaves(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in cast("dict[str, Any]", value).items():
            yield from _leaves(each, f"{path}/{key}")
    elif isinstance(value, list):
        for index, each in enumerate(cast("list[Any]", value)):
            yield from _leaves(each, f"{path}/{index}")
    else:
        yield f"{path}={json.dumps(value)}"


def _json(text: str) -> Any:
    """Return the JSON object or list that a text begins with; None if it begins with none."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.JSONDecoder().raw_decode(text.lstrip())[0]
    except ValueError:
        return None

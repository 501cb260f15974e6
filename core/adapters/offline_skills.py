"""How the offline model takes part in a crew that plans, votes or judges.

All it knows stands in the prompt: what is asked of it is known by the JSON Schema of the answer.
It does what a model of no imagination would. It plans a subtask for each worker whose goal is near
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

from core.adapters.offline_quotes import joined, split, words

Own = Callable[[str], str]  # what the model answers to a prompt when nothing of this is asked

_SCHEMA_MARK = "that fits this JSON Schema:\n"
_WORKER = re.compile(
    r"^- (?P<name>\w+), (?P<role>[^.\n]+)\. (?P<goal>.+?)(?: Tools: [\w, ]+\.)?$", re.MULTILINE
)
_WHOLE = re.compile(r"must come to this: (?P<expected>.+)")
_SUBTASK = re.compile(r"Subtask \d+, for .*?\n\n", re.DOTALL)
_PROPOSAL = re.compile(r"Proposal (?P<number>\d+):\n(?P<text>.*)", re.DOTALL)
_RULE = re.compile(r"The rule:\n(?P<rule>.*?)\n\nThe task was:", re.DOTALL)
_CHECKED = re.compile(
    r"\n\nThe answer to check:\n(?P<answer>.*)\n\nDoes the answer keep", re.DOTALL
)
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


def answer(prompt: str, own: Own) -> str | None:
    """Answer an order to plan, to put together, to choose or to check; None if it is none."""
    schema = _wanted(prompt)
    names: set[str] = set(schema.get("properties", {}))
    if names == {"subtasks"}:
        return json.dumps(_plan(prompt, schema["properties"]["subtasks"]))
    if "output" in names <= {"output", "send_back"}:
        return json.dumps(_put_together(prompt, schema, own), ensure_ascii=False)
    if {"choice", "reason"} <= names <= {"choice", "reason", "agreement"}:
        return json.dumps(_choose(prompt, schema["properties"], own))
    if names == {"valid", "reason"}:
        return json.dumps(_check(prompt))
    return None


def _wanted(prompt: str) -> dict[str, Any]:
    """Return the schema that the answer is to fit; {} where there is none."""
    task, _ = split(prompt)
    _, mark, rest = task.rpartition(_SCHEMA_MARK)
    found = _json(rest) if mark else None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _plan(prompt: str, subtasks: dict[str, Any]) -> dict[str, Any]:
    task, _ = split(prompt)
    order = task.strip().partition("\n\n")[0]
    workers = list(_WORKER.finditer(task))
    near = {found["name"]: len(words(order) & words(found[0])) for found in workers}
    enough = max(near.values(), default=0) / 3  # a worker for something else is left out
    expected = _WHOLE.search(task)
    return {
        "subtasks": [
            {
                "worker": found["name"],
                "description": f"As {found['role']}: {found['goal']}",
                "expected_output": expected["expected"] if expected else "Your answer.",
            }
            for found in workers
            if near[found["name"]] >= enough
        ][: subtasks["maxItems"]]
    }


def _put_together(prompt: str, schema: dict[str, Any], own: Own) -> dict[str, Any]:
    _, context = split(prompt)
    parts = [part for part in context if _SUBTASK.match(part)]
    answers = [_SUBTASK.sub("", part, count=1) for part in parts]
    if schema["properties"]["output"].get("type") == "string":
        return {"output": answers[0] if len(answers) == 1 else own(prompt)}
    values = (_json(text) for text in [own(prompt), *reversed(answers)])
    return {"output": next((value for value in values if value is not None), None)}


def _choose(prompt: str, properties: dict[str, Any], own: Own) -> dict[str, Any]:
    task, context = split(prompt)
    shown = {
        int(found["number"]): found["text"] for found in map(_PROPOSAL.match, context) if found
    }
    mine = own(joined(task, [part for part in context if not _PROPOSAL.match(part)]))
    allowed: list[int] = properties["choice"]["enum"]
    choice = max(allowed, key=lambda number: _likeness(mine, shown.get(number, "")))
    said: dict[str, Any] = {
        "choice": choice,
        "reason": "It is the nearest to what the offline model would have answered itself.",
    }
    if "agreement" in properties:
        pairs = [_likeness(one, other) for one, other in combinations(shown.values(), 2)]
        said["agreement"] = round(fmean(pairs or [1.0]), 3)
    return said


def _check(prompt: str) -> dict[str, Any]:
    rule, checked = _RULE.search(prompt), _CHECKED.search(prompt)
    limit = _LIMIT.search(rule["rule"]) if rule else None
    if limit is None or checked is None:
        return {"valid": True, "reason": "The offline model cannot check this rule."}
    counted = _COUNTED[limit["unit"].casefold()](checked["answer"])
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

"""Thumbs: what somebody says of a flow's result becomes feedback on actions in contexts.

A crew that says what it `decides` learns that (decided.py). Of a mapping by any other crew each column is a
decision of the task `CREW-columns`: which field it feeds, `(none)` for none, where the context is its name
and those beside it. A thumb for the whole flow says the same of each column when it is up. Of any other
result, and of a whole mapping that was bad, it is one decision of the task `CREW-results`: whether people
like what the crew makes of such inputs.
"""

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from core import bootstrap
from core.errors import InvalidInputError, NothingThereError
from core.flows import Status
from core.flows.state import Flow
from core.identity import Principal
from core.learning.feedback import Feedback
from functions._learning import decided

if TYPE_CHECKING:
    from functions._learning.feedback import ThumbBody

NO_FIELD = "(none)"
MOST_BESIDE = 200  # columns that stand in a context
Given = tuple[str, Feedback]


async def feedback(who: Principal, asked: "ThumbBody", now_ms: int) -> list[Given]:
    """Return what a thumb says. Raises NotFoundError, NothingThereError, InvalidInputError."""
    state = await bootstrap.flow_log().snapshot(who.tenant, asked.flow)
    if state.head.status is not Status.SUCCEEDED:
        raise NothingThereError(f"the flow is {state.head.status} and has no result to speak of")
    output = await bootstrap.values().load(who.tenant, state.output)
    made = await decided.decisions(who.tenant, state, output)
    if made:
        given_of = decided.feedback(who, asked, made, _new_id())
        return [(task, _dated(one, now_ms)) for task, one in given_of]
    fields = mapping(output)
    if asked.column is not None:
        given = [_of_column(who, asked, fields, asked.column, asked.id)]
        task = f"{state.crew}-columns"
    elif asked.correction is not None:
        raise InvalidInputError("the thumb is refused", {"/correction": "is for one column"})
    elif fields and asked.thumb == "up":
        given = [
            _of_column(who, asked, fields, column, asked.id and f"{asked.id}:{number}")
            for number, column in enumerate(fields)
        ]
        task = f"{state.crew}-columns"
    else:
        given, task = [_of_result(who, asked, state)], f"{state.crew}-results"
    return [(task, _dated(one, now_ms)) for one in given]


def mapping(output: Any) -> dict[str, str]:
    """Return the field of each column, where an output is a mapping; {} where it is none."""
    listed = cast("dict[str, Any]", output).get("columns") if isinstance(output, dict) else None
    if not isinstance(listed, list):
        return {}
    entries = [one for one in cast("list[Any]", listed) if _is_entry(one)]
    return {one["column"]: one["field"] or NO_FIELD for one in entries}


def _is_entry(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    entry = cast("dict[str, Any]", value)
    return isinstance(entry.get("column"), str) and isinstance(entry.get("field"), str | None)


def column_context(column: str, columns: list[str]) -> dict[str, Any]:
    """Return the context in which it is decided what a column means."""
    beside = [one for one in columns if one != column]
    return {"column": column, "siblings": beside[:MOST_BESIDE]}


def _of_column(
    who: Principal, asked: "ThumbBody", fields: dict[str, str], column: str, given_id: str | None
) -> Feedback:
    if column not in fields:
        raise InvalidInputError("the thumb is refused", {"/column": "the flow has not mapped it"})
    if asked.correction is not None and asked.thumb == "up":
        raise InvalidInputError("the thumb is refused", {"/correction": "is for a thumb down"})
    right = asked.thumb == "up" or asked.correction is not None
    action = asked.correction or fields[column]
    context = column_context(column, list(fields))
    return Feedback(given_id or _new_id(), context, action, who.subject, right)


def _of_result(who: Principal, asked: "ThumbBody", state: Flow) -> Feedback:
    context = {"inputs": state.inputs}
    return Feedback(asked.id or _new_id(), context, asked.thumb, who.subject)


def _dated(given: Feedback, now_ms: int) -> Feedback:
    dated = replace(given, at_ms=now_ms)
    dated.check()
    return dated


def _new_id() -> str:
    return uuid.uuid4().hex

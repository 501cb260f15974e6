"""Answers: the JSON in what a model said, checked against the task's output_schema."""

import json
import math
import re
from typing import Any

from core.crews.definition import schemas

_FENCE = re.compile(r"```(?:json)?\s*\n(.*)```", re.DOTALL)  # to the last fence: strings hold some
_VALUE_CHARACTERS, _PATH_CHARACTERS = 80, 120
_SIZES = frozenset({"maxLength", "minLength", "maxItems", "minItems", "maxProperties"})


class InvalidAnswerError(Exception):
    """The answer does not fit; the message says where and why, for the model and for a person."""

    fault = "the answer does not fit the output_schema"


def instructions(schema: dict[str, Any]) -> str:
    """Return what asks a model for an answer that `read` takes."""
    return (
        "Your final answer must be one JSON value, with no other text and no code fence, "
        f"that fits this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    )


def read(text: str, schema: dict[str, Any] | None) -> Any:
    """Return the text itself, or with a schema the JSON in it. Raises InvalidAnswerError."""
    if schema is None:
        return text
    value = _parse(text)
    mistake = next(schemas.mistakes(schema, value), None)
    if mistake is not None:
        raise InvalidAnswerError(_complaint(mistake))
    return value


def _complaint(mistake: schemas.Mistake) -> str:
    """Say where a rule is broken and which one, and only then, shortened, what stands there."""
    value = mistake.value
    size = f", here {len(value)}" if mistake.keyword in _SIZES else ""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in mistake.place)
    path = _short("$" + "".join(steps), _PATH_CHARACTERS)
    shown = _short(json.dumps(value, ensure_ascii=False), _VALUE_CHARACTERS)
    return f"at {path}: {mistake.reason}{size}. It is: {shown}"


def _short(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]}…"


def _parse(text: str) -> Any:
    try:
        return _strict(text)
    except ValueError as error:
        fenced = _FENCE.search(text)
        if fenced is None:
            raise InvalidAnswerError(f"not JSON: {error}") from error
    try:
        return _strict(fenced[1])
    except ValueError as error:
        raise InvalidAnswerError(f"not JSON: {error}") from error


def _strict(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)  # 1e999 is infinite, too

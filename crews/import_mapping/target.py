"""The target schema: JSON Schema properties, plus four keywords that JSON Schema has no word for.

`x-names`   what such a column is called in the world; the field takes one column named so.
`x-parts`   names of columns that each hold a piece of the value, in order; a field with parts
            takes any number of them (street = direction + name + type).
`x-unique`  no two rows share a value.
`x-neutral` beside `properties`: words that tell no field from another ("name", "site").

`type`, `minimum`, `maximum` and `pattern` are what a column's values must obey, `examples` what
they may look like: a value counts as alike when it is an example or ends in one as a word does.

Whoever launches the crew writes the target, so nothing in it may decide how long a process is busy:
patterns are matched in linear time (Rust's regex), and crew.yaml bounds all the rest at the launch.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

CHANCE = 3  # endings up to this many letters are alike by chance
NUMERIC = frozenset({"number", "integer"})
LINEAR = RegexOptions(size_limit=1 << 20)  # bytes of a compiled pattern, which bound a match


@dataclass(frozen=True)
class Field:
    """One property of the target schema, read once."""

    name: str
    names: tuple[str, ...]
    parts: tuple[str, ...]
    numeric: bool
    integer: bool
    limits: tuple[float, float]
    matches: Callable[[str], bool] | None  # its pattern
    examples: frozenset[str]
    endings: frozenset[int]  # the lengths of the examples that a longer value may end in
    unique: bool
    neutral: frozenset[str]


def fields(target: Mapping[str, Any]) -> list[Field]:
    """The fields of a schema, in its order. Raises ValueError for a pattern that is no regex."""
    neutral = frozenset(map(str, target.get("x-neutral", ())))
    return [_field(name, schema, neutral) for name, schema in target["properties"].items()]


def _field(name: str, given: object, neutral: frozenset[str]) -> Field:
    schema = cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}  # or a Boolean
    types = _types(schema)
    examples = frozenset(str(example).casefold() for example in schema.get("examples", ()))
    return Field(
        name=name,
        names=(name, *_lead(schema.get("description", "")), *map(str, schema.get("x-names", ()))),
        parts=tuple(map(str, schema.get("x-parts", ()))),
        numeric=bool(types) and types <= NUMERIC,
        integer=types == {"integer"},
        limits=(schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))),
        matches=_matcher(name, schema["pattern"]) if "pattern" in schema else None,
        examples=examples,
        endings=frozenset(len(example) for example in examples if len(example) > CHANCE),
        unique=bool(schema.get("x-unique", False)),
        neutral=neutral,
    )


def _types(schema: Mapping[str, Any]) -> set[str]:
    """The types that a value may have; null apart, which an empty cell is."""
    given = schema.get("type", ())
    return {given} if isinstance(given, str) else set(given) - {"null"}


def _matcher(name: str, pattern: str) -> Callable[[str], bool]:
    """Return what says whether a pattern is somewhere in a text."""
    try:
        return Draft202012Validator({"pattern": pattern}, pattern_options=LINEAR).is_valid
    except ValidationError as error:
        raise ValueError(f"The pattern of field {name} cannot be matched.") from error


def _lead(description: str) -> list[str]:
    """A description that starts with a short clause names the field: "House number, ..."."""
    clause = re.split(r"[,.;:(]", description, maxsplit=1)[0].strip()
    return [clause] if 0 < len(clause.split()) <= 3 else []  # noqa: PLR2004 -- longer is prose

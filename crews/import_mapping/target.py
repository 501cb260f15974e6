"""The target schema: JSON Schema properties, plus four keywords that JSON Schema has no word for.

`x-names`   what such a column is called in the world; the field takes one column named so.
`x-parts`   names of columns that each hold a piece of the value, in order; a field with parts
            takes any number of them (street = direction + name + type).
`x-unique`  no two rows share a value.
`x-neutral` beside `properties`: words that tell no field from another ("name", "site").

`type`, `minimum`, `maximum` and `pattern` are what a column's values must obey, `examples` what
they may look like: a value counts as alike when it is an example or ends in one as a word does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NUMERIC = frozenset({"number", "integer"})


@dataclass(frozen=True)
class Field:
    """One property of the target schema, read once."""

    name: str
    names: tuple[str, ...]
    parts: tuple[str, ...]
    numeric: bool
    integer: bool
    limits: tuple[float, float]
    pattern: re.Pattern[str] | None
    examples: frozenset[str]
    unique: bool
    neutral: frozenset[str]


def fields(target: Mapping[str, Any]) -> list[Field]:
    """The fields of a schema, in its order. Raises ValueError for a pattern that is no regex."""
    neutral = frozenset(map(str, target.get("x-neutral", ())))
    return [_field(name, schema, neutral) for name, schema in target["properties"].items()]


def _field(name: str, schema: Mapping[str, Any], neutral: frozenset[str]) -> Field:
    try:
        pattern = re.compile(schema["pattern"]) if "pattern" in schema else None
    except re.error as error:
        raise ValueError(
            f"The pattern of field {name} is no regular expression: {error}"
        ) from error
    return Field(
        name=name,
        names=(name, *_lead(schema.get("description", "")), *map(str, schema.get("x-names", ()))),
        parts=tuple(map(str, schema.get("x-parts", ()))),
        numeric=schema.get("type") in NUMERIC,
        integer=schema.get("type") == "integer",
        limits=(schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))),
        pattern=pattern,
        examples=frozenset(str(example).casefold() for example in schema.get("examples", ())),
        unique=bool(schema.get("x-unique", False)),
        neutral=neutral,
    )


def _lead(description: str) -> list[str]:
    """A description that starts with a short clause names the field: "House number, ..."."""
    clause = re.split(r"[,.;:(]", description, maxsplit=1)[0].strip()
    return [clause] if 0 < len(clause.split()) <= 3 else []  # noqa: PLR2004 -- longer is prose

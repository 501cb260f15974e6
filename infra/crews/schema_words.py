"""What somebody meant who wrote Python's or pydantic's words into a JSON Schema.

A keyword that JSON Schema does not know has no meaning there and no error either, so `min_length: 3`
would let everything pass. Those that begin with `x-` are a crew's own.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, cast

from core import complaints

Place = tuple[str | int, ...]
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_MEANT_TYPES: Mapping[str, str] = {
    "any": "no type at all",
    "bool": "boolean",
    "date": "string, with format: date",
    "datetime": "string, with format: date-time",
    "dict": "object",
    "double": "number",
    "enum": "no type, but enum: [...]",
    "file": "string, with format: crewline-input",
    "float": "number",
    "int": "integer",
    "list": "array",
    "none": "null",
    "str": "string",
    "text": "string",
    "tuple": "array",
}
_MEANT_KEYWORDS: Mapping[str, str] = {
    "choices": "enum: [...]",
    "desc": "description",
    "example": "examples: [...]",
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "max": "maximum, maxLength or maxItems",
    "min": "minimum, minLength or minItems",
    "nullable": 'type: [string, "null"], say',
    "optional": "nothing: what stands not in required: [...] of the object is optional",
    "options": "enum: [...]",
    "regex": "pattern",
    "values": "enum: [...]",
}
_SCHEMA_IN = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames",
              "then", "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
_SCHEMAS_IN_LIST = ("allOf", "anyOf", "oneOf", "prefixItems")
_SCHEMAS_BY_NAME = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
KEYWORDS = frozenset({
    *_SCHEMA_IN, *_SCHEMAS_IN_LIST, *_SCHEMAS_BY_NAME,
    "$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema", "$vocabulary",
    "const", "contentEncoding", "contentMediaType", "contentSchema", "default", "dependencies",
    "dependentRequired", "deprecated", "description", "enum", "examples", "exclusiveMaximum",
    "exclusiveMinimum", "format", "maxContains", "maxItems", "maxLength", "maxProperties", "maximum",
    "minContains", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "pattern",
    "readOnly", "required", "title", "type", "uniqueItems", "writeOnly",
})  # fmt: skip


def meant(schema: Any, place: Place) -> str | None:
    """Return what to write in a place that is no JSON Schema; None if only its rule can be told."""
    keyword = next((step for step in reversed(place) if isinstance(step, str)), None)
    wrong = _at(schema, place)
    if keyword == "type":
        return _meant_type(wrong)
    if keyword == "required":
        return "required: is a list of names that stands in the object: required: [name, ...]"
    if keyword in _SCHEMAS_BY_NAME and not isinstance(wrong, dict):
        return f"{keyword}: must be a mapping of names to schemas"
    if not isinstance(wrong, (dict, bool)) and _is_for_a_schema(place):
        return "must be a schema, such as {type: string}"
    return None


def unknown(schema: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield the place of each keyword that means nothing, and what to write in its place."""
    if not isinstance(schema, dict):
        return
    members = cast("dict[str, Any]", schema)
    for keyword, value in members.items():
        at = (*place, keyword)
        if keyword not in KEYWORDS and not keyword.startswith("x-"):
            yield at, f"there is no such keyword in JSON Schema; {_meant_keyword(keyword)}"
        for step, part in _parts(keyword, value):
            yield from unknown(part, (*at, *step))


def _meant_type(wrong: Any) -> str:
    several: list[Any] = [*cast("list[Any]", wrong)] if isinstance(wrong, list) else [wrong]
    wrong = next((each for each in several if each not in _TYPES), None)
    if not isinstance(wrong, str):
        return f"type: must be one of {', '.join(_TYPES)}, or a list of them"
    instead = _MEANT_TYPES.get(wrong.lower())
    why = f"write {instead}" if instead else complaints.choice(wrong, _TYPES)
    return f"there is no type {wrong[:40]!r} in JSON Schema: {why}"


def _meant_keyword(keyword: str) -> str:
    instead = _MEANT_KEYWORDS.get(keyword.lower())
    plain = {known.lower(): known for known in KEYWORDS}.get(keyword.replace("_", "").lower())
    if instead or plain:
        return f"write {instead or plain}"
    close = get_close_matches(keyword, KEYWORDS, 1)
    return f"did you mean {close[0]}?" if close else "those of a crew's own begin with x-"


def _parts(keyword: str, value: Any) -> Iterator[tuple[Place, Any]]:
    """Yield the schemas that a keyword holds, and how they are reached from it."""
    if keyword in _SCHEMA_IN:
        yield (), value
    elif keyword in _SCHEMAS_IN_LIST and isinstance(value, list):
        yield from (((n,), each) for n, each in enumerate(cast("list[Any]", value)))
    elif keyword in _SCHEMAS_BY_NAME and isinstance(value, dict):
        yield from (((n,), each) for n, each in cast("dict[str, Any]", value).items())


def _is_for_a_schema(place: Place) -> bool:
    holder, last = ("", "", *place)[-2:]
    return last in _SCHEMA_IN or holder in (*_SCHEMAS_BY_NAME, *_SCHEMAS_IN_LIST)


def _at(schema: Any, place: Place) -> Any:
    for step in place:
        schema = schema[step]
    return schema

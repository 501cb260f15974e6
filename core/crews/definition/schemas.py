"""JSON Schemas (2020-12) over text that a stranger sent: what they cost is linear in that text.

`jsonschema` matches patterns by backtracking and compares the items of `uniqueItems` each with
each, so a few hundred bytes could hold a process for hours. Here patterns are RE2's, which match in
linear time and take no lookaround and no back-references; `$` is the end of the text, as in
ECMA-262, and not the place before a last line break.

Two formats are checked, beside those that say something to a reader only:
`regex`           a pattern that can be matched here
`crewline-input`  the id of an uploaded input; the launch looks whether it is there
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType]

from core.blobs import INPUT_ID

INPUT_FORMAT = "crewline-input"
PATTERN_CHARACTERS = 1_000
PATTERN_BYTES = 1 << 18  # of a compiled pattern; what a match costs is bounded by it
_REASON_CHARACTERS = 200
_SHOWN_CHARACTERS = 60


class PatternError(ValueError):
    """This pattern cannot be matched here; the message says why."""


@lru_cache(1_000)
def compiled(pattern: str) -> Any:
    """Return RE2's pattern for one of ECMA-262's. Raises PatternError."""
    import re2  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] -- only crews with patterns pay for it at a cold start

    engine: Any = re2

    if len(pattern) > PATTERN_CHARACTERS:
        raise PatternError(f"a pattern may have at most {PATTERN_CHARACTERS} characters")
    options = engine.Options()
    options.max_mem, options.log_errors = PATTERN_BYTES, False
    try:
        return engine.compile(pattern, options)
    except (engine.error, UnicodeError) as error:
        said: Any = error.args[0]
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise PatternError(f"no regular expression that RE2 takes: {reason}") from error


class BadSchemaError(ValueError):
    """This is no JSON Schema, or has a pattern that cannot be matched; `place` says where."""

    def __init__(self, error: SchemaError) -> None:
        why = error.message if error.cause is None else str(cast("Any", error.cause))
        super().__init__(f"not a JSON Schema: {why}")
        self.place = tuple(error.absolute_path)


def check(schema: Any) -> None:
    """Raise BadSchemaError for what is no JSON Schema, or has a pattern that cannot be matched."""
    try:
        Draft202012Validator.check_schema(schema, _FORMATS)
    except SchemaError as error:
        raise BadSchemaError(error) from error


def validator(schema: Any) -> Any:
    """Return jsonschema's validator for a schema, with the rules of this module."""
    return _Validator(schema, format_checker=_FORMATS)


def pointer(error: ValidationError, root: str) -> str:
    """Return the JSON pointer (RFC 6901) of what is wrong."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in error.absolute_path)
    return root + "".join(f"/{step}" for step in steps)


def reason(error: ValidationError) -> str:
    """Say which rule was broken; the offending value is not repeated."""
    rule: Any = error.validator_value
    match error.validator:
        case "required":
            missing = [name for name in rule if name not in cast("Any", error.instance)]
            return f"required: {', '.join(missing)}"
        case "additionalProperties":
            known: Any = cast("Any", error.schema).get("properties", {})
            return f"no other properties than: {', '.join(known)}"
        case "format" if error.cause is not None:
            return str(error.cause)
        case _:
            return f"must fit {error.validator}: {json.dumps(rule)[:_REASON_CHARACTERS]}"


def input_ids(schema: dict[str, Any], inputs: dict[str, Any]) -> dict[str, str]:
    """Return the ids of uploaded inputs among the inputs, by the name of the input."""
    properties: dict[str, Any] = schema.get("properties", {})
    named = (name for name, each in properties.items() if _is_input(each))
    return {name: inputs[name] for name in named if isinstance(inputs.get(name), str)}


def _is_input(schema: object) -> bool:
    return isinstance(schema, dict) and cast("Any", schema).get("format") == INPUT_FORMAT


def _pattern(_: Any, pattern: str, text: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(text, str) and not compiled(pattern).search(text):
        yield ValidationError(f"{text[:_SHOWN_CHARACTERS]!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: dict[str, Any], instance: Any, _: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, schema in patterns.items():
        for name, value in cast("dict[str, Any]", instance).items():
            if compiled(pattern).search(name):
                yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, extra: Any, instance: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    known = schema.get("properties", {})
    patterns = [compiled(pattern) for pattern in schema.get("patternProperties", {})]
    for name, value in cast("dict[str, Any]", instance).items():
        if name in known or any(pattern.search(name) for pattern in patterns):
            continue
        if extra is False:
            yield ValidationError(f"{name[:_SHOWN_CHARACTERS]!r} is no property of it")
            return
        yield from validator.descend(value, extra, path=name)


def _unique_items(_: Any, unique: bool, items: Any, __: Any) -> Iterator[ValidationError]:
    if unique and isinstance(items, list):
        told_apart = {_canonical(item) for item in cast("list[Any]", items)}
        if len(told_apart) < len(cast("list[Any]", items)):
            yield ValidationError("it has an item twice")


def _canonical(value: Any) -> str:
    """Return the same text for values that are equal as JSON: 1 is 1.0, but not true."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[str, Any]", value).items()}
    return value


_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("regex", PatternError)
def _is_regex(value: object) -> bool:
    return not isinstance(value, str) or bool(compiled(value))


@_FORMATS.checks(INPUT_FORMAT, ValueError)
def _is_input_id(value: object) -> bool:
    if isinstance(value, str) and not INPUT_ID.fullmatch(value):
        raise ValueError("must be the id of an upload, as POST /v1/inputs answers it")
    return True


_Validator: Any = cast("Any", extend)(
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    },
)

"""JSON Schemas (2020-12) over text that a stranger sent: what they cost is linear in that text.

`jsonschema` matches patterns by backtracking and compares the items of `uniqueItems` each with
each, so a few hundred bytes could hold a process for hours. Here `patterns` are RE2's, and
`predicates` say what fits; jsonschema is asked about the rest, for the reason.

Two formats are checked, beside those that say something to a reader only:
`regex`           a pattern that can be matched here
`crewline-input`  the id of an uploaded input; the launch looks whether it is there
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend  # pyright: ignore[reportUnknownVariableType]

from core.blobs import INPUT_ID
from core.crews.definition.keywords import Seen, additional, all_differ
from core.crews.definition.patterns import PatternError, compiled, matches
from core.crews.definition.predicates import NotCompiledError, Predicates

INPUT_FORMAT = "crewline-input"
_REASON_CHARACTERS = 200
_SHOWN_CHARACTERS = 60


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


def check_inputs(schema: Any) -> None:
    """Raise NotCompiledError for a keyword that may cost more than it takes to read a value."""
    Predicates(schema, _FORMATS)


def errors(schema: Any, value: Any) -> Iterator[ValidationError]:
    """Yield what is wrong with a value, each when it is asked for."""
    validator = _validator(json.dumps(schema, default=str))
    yield from validator.evolve(format_checker=_Run()).iter_errors(value)


@lru_cache(100)
def _validator(text: str) -> Any:
    """Return jsonschema's validator for a schema, kept by its text."""
    schema = json.loads(text)
    try:
        return _only_for_reasons(Predicates(schema, _FORMATS))(schema)
    except NotCompiledError:
        return _Plain(schema)


class _Run(FormatChecker):
    """One value's way through a validator; jsonschema hands it on to wherever it descends."""

    def __init__(self) -> None:
        super().__init__(formats=())
        self.checkers = _FORMATS.checkers
        self.seen: Seen = {}


def _only_for_reasons(predicates: Predicates) -> Any:
    """Return a class of jsonschema's that visits nothing which fits by the predicates."""
    class_: Any = cast("Any", extend)(_Plain)
    descend, is_valid = class_.descend, class_.is_valid

    def descend_if_wrong(self: Any, instance: Any, schema: Any, *args: Any, **names: Any) -> Any:
        fits = predicates.of(schema)
        if fits is not None and fits(instance, self.format_checker.seen):
            return ()
        return descend(self, instance, schema, *args, **names)

    def fits_or_is_valid(self: Any, instance: Any) -> bool:
        fits = predicates.of(self.schema)
        return (
            is_valid(self, instance) if fits is None else fits(instance, self.format_checker.seen)
        )

    class_.descend, class_.is_valid = descend_if_wrong, fits_or_is_valid
    return class_


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
            return f"must fit {error.validator}: {_beginning(rule)}"


def _beginning(rule: Any) -> str:
    """Return the first characters of a rule as JSON, however long it is."""
    parts = islice(json.JSONEncoder().iterencode(rule), _REASON_CHARACTERS)
    return "".join(parts)[:_REASON_CHARACTERS]


def input_ids(schema: dict[str, Any], inputs: dict[str, Any]) -> dict[str, str]:
    """Return the ids of uploaded inputs among the inputs, by the name of the input."""
    properties: dict[str, Any] = schema.get("properties", {})
    named = (name for name, each in properties.items() if _is_input(each))
    return {name: inputs[name] for name in named if isinstance(inputs.get(name), str)}


def _is_input(schema: object) -> bool:
    return isinstance(schema, dict) and cast("Any", schema).get("format") == INPUT_FORMAT


def _pattern(_: Any, pattern: str, text: Any, __: Any) -> Iterator[ValidationError]:
    if isinstance(text, str) and not matches(pattern, text):
        yield ValidationError(f"{text[:_SHOWN_CHARACTERS]!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: dict[str, Any], instance: Any, _: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, schema in patterns.items():
        for name, value in cast("dict[str, Any]", instance).items():
            if matches(pattern, name):
                yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, extra: Any, instance: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    members = cast("dict[str, Any]", instance)
    for name in additional(schema, members):
        if extra is False:
            yield ValidationError(f"{name[:_SHOWN_CHARACTERS]!r} is no property of it")
            return
        yield from validator.descend(members[name], extra, path=name)


def _unique_items(_: Any, unique: bool, items: Any, __: Any) -> Iterator[ValidationError]:
    if unique and isinstance(items, list) and not all_differ(cast("list[Any]", items)):
        yield ValidationError("it has an item twice")


def _any_of(validator: Any, branches: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    if not _fitting(validator, branches, value):
        yield ValidationError(f"{value!r} is not valid under any of the given schemas")


def _one_of(validator: Any, branches: Any, value: Any, _: Any) -> Iterator[ValidationError]:
    fitting = _fitting(validator, branches, value)
    if fitting != 1:
        how = f"valid under {fitting}" if fitting else "not valid under any"
        yield ValidationError(f"{value!r} is {how} of the given schemas")


def _fitting(validator: Any, branches: list[Any], value: Any) -> int:
    return sum(validator.evolve(schema=branch).is_valid(value) for branch in branches)


_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("regex", PatternError)
def _is_regex(value: object) -> bool:
    return not isinstance(value, str) or bool(compiled(value))


@_FORMATS.checks(INPUT_FORMAT, ValueError)
def _is_input_id(value: object) -> bool:
    if isinstance(value, str) and not INPUT_ID.fullmatch(value):
        raise ValueError("must be the id of an upload, as POST /v1/inputs answers it")
    return True


_Plain: Any = cast("Any", extend)(
    Draft202012Validator,
    {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
        "anyOf": _any_of,
        "oneOf": _one_of,
    },
)

"""JSON Schemas (2020-12), and values that a stranger sent: what a look at them costs is bounded.

`jsonschema-rs` says in less time than it takes to read a value whether it fits. Asked why not, it
lists what is wrong in every branch of every branch, which has no bound. So it is asked of each part
by itself, from the whole inwards, and a part that fits no branch is told as just that.

Two formats are checked, beside those that say something to a reader only:
`regex`           a pattern that can be matched here (`patterns`)
`crewline-input`  the id of an uploaded input; the launch looks whether it is there
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from typing import Any, cast
from urllib.parse import unquote

from jsonschema_rs import Draft202012Validator, ReferencingError, ValidationError, validator_map_for

from core.blobs import INPUT_ID
from core.crews.definition import patterns

INPUT_FORMAT = "crewline-input"
_REASON_CHARACTERS = 200
_BRANCHES = frozenset({  # keywords that hold schemas, and references to such
    "$defs", "$dynamicRef", "$ref", "additionalProperties", "allOf", "anyOf", "contains",
    "definitions", "dependentSchemas", "else", "if", "items", "maxContains", "minContains", "not",
    "oneOf", "patternProperties", "prefixItems", "properties", "then",
    "unevaluatedItems", "unevaluatedProperties",
})  # fmt: skip

Place = tuple[str | int, ...]  # the names and numbers that lead to a part


class BadSchemaError(ValueError):
    """This is no JSON Schema, or has a pattern that cannot be matched; `place` says where."""

    def __init__(self, why: str, place: Place) -> None:
        super().__init__(f"not a JSON Schema: {why}")
        self.place = place


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a value: `place` leads to the part of it that breaks the rule of `keyword`.

    `reason` says which rule that is; the part itself, `value`, is not repeated in it.
    """

    place: tuple[str | int, ...]
    keyword: str
    reason: str
    value: Any

    def pointer(self, root: str) -> str:
        """Return the JSON pointer (RFC 6901) of the part."""
        return "".join((root, *(f"/{_escaped(step)}" for step in self.place)))


def check(schema: Any) -> None:
    """Raise BadSchemaError for what is no JSON Schema, or has a pattern that cannot be matched."""
    try:
        _meta_schema().validate(schema)
        Draft202012Validator(schema, **_OPTIONS)
    except ValidationError as error:
        raise BadSchemaError(_reason(error), tuple(error.instance_path)) from error
    except ReferencingError as error:
        raise BadSchemaError(str(error), ()) from error


def mistakes(schema: Any, value: Any) -> Iterator[Mistake]:
    """Yield what is wrong with a value, in little more time than it takes to read it."""
    yield from _compiled(json.dumps(schema, default=str)).mistakes("#", value, ())


def input_ids(schema: dict[str, Any], inputs: dict[str, Any]) -> dict[str, str]:
    """Return the ids of uploaded inputs among the inputs, by the name of the input."""
    properties: dict[str, Any] = schema.get("properties", {})
    named = (name for name, each in properties.items() if _is_input(each))
    return {name: inputs[name] for name in named if isinstance(inputs.get(name), str)}


class _Schema:
    """A schema, with a validator of each schema in it by its JSON pointer."""

    def __init__(self, text: str) -> None:
        self._root: Any = json.loads(text)
        self._validators = validator_map_for(self._root, **_OPTIONS)

    def mistakes(self, at: str, value: Any, place: Place) -> Iterator[Mistake]:
        """Yield what is wrong with a value by the schema at `at`, and then with its parts."""
        if self._validators[at].is_valid(value):
            return
        at, schema = self._without_references(at)
        parts = self._parts(at, schema, value, place)
        within = (mistake for part in parts for mistake in self.mistakes(*part))
        found = False
        for mistake in chain(_own_mistakes(schema, value, place), within):
            found = True
            yield mistake
        if not found:
            rules = ", ".join(name for name in schema if name in _BRANCHES) or "its schema"
            yield Mistake(place, rules, f"it does not fit {rules}", value)

    def _parts(
        self, at: str, schema: dict[str, Any], value: Any, place: Place
    ) -> Iterator[tuple[str, Any, Place]]:
        """Yield where a schema says something of a value's parts: pointer, part and place of each."""
        for number in range(len(schema.get("allOf", ()))):
            yield f"{at}/allOf/{number}", value, place
        children: Iterable[tuple[str | int, Any]] = ()
        if isinstance(value, list):
            children = enumerate(cast("list[Any]", value))
        elif isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            known = () if _takes_more(schema) else schema.get("properties", ())
            children = (
                [(n, members[n]) for n in known if n in members] if known else members.items()
            )
        for name, child in children:
            way = _way_to(schema, name)
            if way and at + way in self._validators:
                yield at + way, child, (*place, name)

    def _without_references(self, at: str) -> tuple[str, dict[str, Any]]:
        """Return where a schema stands that is perhaps only referred to, and the schema."""
        seen = set[str]()
        while True:
            found = _at(self._root, at)
            schema = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
            reference = schema.get("$ref", "")
            if reference in seen or reference not in self._validators:
                return at, schema
            seen.add(reference)
            at = reference


def _takes_more(schema: dict[str, Any]) -> bool:
    """Tell whether an object may have other members than the schema's properties."""
    return schema.get("additionalProperties") is not False or "patternProperties" in schema


def _way_to(schema: dict[str, Any], name: str | int) -> str:
    """Return the pointer from a schema to that of a member or item; "" where it is not plain."""
    if isinstance(name, int):
        return "" if "prefixItems" in schema else "/items"
    if name in schema.get("properties", ()):
        return f"/properties/{_escaped(name)}"
    extra = schema.get("additionalProperties")
    return "/additionalProperties" if extra and "patternProperties" not in schema else ""


def _at(root: Any, pointer: str) -> Any:
    found: Any = root
    for step in pointer.split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        found = found[int(name) if isinstance(found, list) else name]
    return found


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def _own_mistakes(schema: dict[str, Any], value: Any, place: Place) -> Iterator[Mistake]:
    """Yield the rules that a value breaks itself, whatever its parts are."""
    known = schema.get("properties", {})
    if isinstance(value, dict) and not _takes_more(schema) and value.keys() - known.keys():
        # How they are called is the stranger's, and not repeated.
        reason = f"no other properties than: {', '.join(known)}"
        yield Mistake(place, "additionalProperties", reason[:_REASON_CHARACTERS], value)
    own = {name: rule for name, rule in schema.items() if name not in _BRANCHES}
    errors = list(Draft202012Validator(own, **_OPTIONS).iter_errors(value))
    missing = [e.kind.as_dict()["property"] for e in errors if e.kind.name == "required"]
    if missing:  # one mistake, however many are missing
        yield Mistake(place, "required", f"required: {', '.join(missing)}", value)
    for error in errors:
        if error.kind.name != "required":
            yield Mistake(place, error.kind.name, _reason(error)[:_REASON_CHARACTERS], value)


def _reason(error: ValidationError) -> str:
    facts = error.kind.as_dict()
    match error.kind.name:
        case "format":
            return _FORMATS.get(facts["format"], error.message)
        case "propertyNames":
            return f"a name in it: {_reason(facts['error'])}"
        case _:
            return error.message


def _is_input(schema: object) -> bool:
    return isinstance(schema, dict) and cast("Any", schema).get("format") == INPUT_FORMAT


def _is_input_id(value: Any) -> bool:
    return not isinstance(value, str) or INPUT_ID.fullmatch(value) is not None


@lru_cache(100)
def _compiled(text: str) -> _Schema:
    return _Schema(text)


@cache
def _meta_schema() -> Draft202012Validator:
    return Draft202012Validator({"$ref": _DIALECT}, **_OPTIONS)


_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FORMATS = {
    "regex": patterns.RULE,
    INPUT_FORMAT: "must be the id of an upload, as POST /v1/inputs answers it",
}
_MASK = "it"  # what messages say in the place of the value


def _fetched_from_nowhere(uri: str) -> Any:
    raise LookupError(f"{uri} is not in this schema")


_OPTIONS: dict[str, Any] = {
    "retriever": _fetched_from_nowhere,
    "formats": {"regex": patterns.is_pattern, INPUT_FORMAT: _is_input_id},
    "validate_formats": True,
    "pattern_options": patterns.OPTIONS,
    "mask": _MASK,
}

"""Keywords of JSON Schema (2020-12), each as a function from a rule to a predicate of a value."""

# All values are JSON, of which pyright knows no more than that.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from jsonschema import Draft202012Validator

from core.crews.definition.patterns import matches

Seen = dict[str, dict[int, bool]]  # answers of one run, by reference and id of the value
Check = Callable[[Any, Seen], bool]
Compile = Callable[[Any], Check]  # from a schema

CONTAINERS, _NUMBERS = (dict, list), (int, float)
_TYPES: dict[str, Callable[[Any], bool]] = {
    "array": lambda value: type(value) is list,
    "boolean": lambda value: type(value) is bool,
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "null": lambda value: value is None,
    "number": lambda value: type(value) is int or type(value) is float,
    "object": lambda value: type(value) is dict,
    "string": lambda value: type(value) is str,
}


def same(value: Any) -> Any:
    """Return something hashable that is equal for values that are equal as JSON.

    1 is 1.0, but not true. Containers become text, whose hash no sender can foresee.
    """
    kind = type(value)
    if kind in CONTAINERS:
        text = json.dumps(value, sort_keys=True)
        if ".0" in text or "e+" in text:
            text = json.dumps(_plain(value), sort_keys=True)
        return (kind, text)
    return (kind, value) if kind is bool else value


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[str, Any]", value).items()}
    return value


def every(checks: list[Check]) -> Check:
    match checks:
        case []:
            return lambda _, __: True
        case [one]:
            return one
        case [one, two]:
            return lambda value, seen: one(value, seen) and two(value, seen)
        case _:
            return lambda value, seen: all(check(value, seen) for check in checks)


# Keywords that look at nothing but the value. Each returns the predicate of one rule.


def _type(rule: Any) -> Check:
    if isinstance(rule, str):
        is_type = _TYPES[rule]
        return lambda value, _: is_type(value)
    types = [_TYPES[name] for name in rule]
    return lambda value, _: any(is_type(value) for is_type in types)


def _enum(rule: list[Any]) -> Check:
    allowed = frozenset(map(same, rule))
    return lambda value, _: same(value) in allowed


def _required(rule: list[str]) -> Check:
    names = frozenset(rule)
    return lambda value, _: type(value) is not dict or names <= value.keys()


def _pattern(rule: str) -> Check:
    return lambda value, _: type(value) is not str or matches(rule, value)


def _unique(rule: bool) -> Check:
    return lambda value, _: not rule or type(value) is not list or all_differ(value)


def all_differ(items: list[Any]) -> bool:
    """Tell whether no two items are equal as JSON."""
    return len(set(map(same, items))) == len(items)


def _size(kind: type, fits: Callable[[int, int], bool]) -> Callable[[int], Check]:
    """Return a keyword that bounds the length of one kind of value."""
    return lambda rule: lambda value, _: type(value) is not kind or fits(len(value), rule)


def _number(fits: Callable[[Any, Any], bool]) -> Callable[[float], Check]:
    return lambda rule: lambda value, _: type(value) not in _NUMBERS or fits(value, rule)


def _as_jsonschema(name: str) -> Callable[[Any], Check]:
    """Return a keyword as jsonschema itself has it."""
    keyword: Any = cast("Any", Draft202012Validator).VALIDATORS[name]
    plain: Any = Draft202012Validator({})

    def of(rule: Any) -> Check:
        return lambda value, _: next(iter(keyword(plain, rule, value, {}) or ()), None) is None

    return of


LEAVES: dict[str, Callable[[Any], Check]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda rule: _enum([rule]),
    "required": _required,
    "pattern": _pattern,
    "uniqueItems": _unique,
    "minLength": _size(str, operator.ge),
    "maxLength": _size(str, operator.le),
    "minItems": _size(list, operator.ge),
    "maxItems": _size(list, operator.le),
    "minProperties": _size(dict, operator.ge),
    "maxProperties": _size(dict, operator.le),
    "minimum": _number(operator.ge),
    "maximum": _number(operator.le),
    "exclusiveMinimum": _number(operator.gt),
    "exclusiveMaximum": _number(operator.lt),
    "multipleOf": _as_jsonschema("multipleOf"),
    "dependentRequired": _as_jsonschema("dependentRequired"),
}

# Keywords that apply other schemas. Each returns the predicate of one rule of a schema.


def _properties(compile_: Compile, rule: dict[str, Any], _: Any) -> Check:
    checks = [(name, compile_(schema)) for name, schema in rule.items()]

    def check(value: Any, seen: Seen) -> bool:
        return type(value) is not dict or all(
            part(value[name], seen) for name, part in checks if name in value
        )

    return check


def _pattern_properties(compile_: Compile, rule: dict[str, Any], _: Any) -> Check:
    checks = [(pattern, compile_(schema)) for pattern, schema in rule.items()]

    def check(value: Any, seen: Seen) -> bool:
        return type(value) is not dict or all(
            part(each, seen)
            for pattern, part in checks
            for name, each in value.items()
            if matches(pattern, name)
        )

    return check


def additional(schema: Mapping[str, Any], value: dict[str, Any]) -> Iterator[str]:
    """Yield the members of a value that neither properties nor patternProperties describe."""
    known = schema.get("properties", {})
    patterns = schema.get("patternProperties", ())
    for name in value:
        if name not in known and not any(matches(pattern, name) for pattern in patterns):
            yield name


def _additional_properties(compile_: Compile, rule: Any, schema: Any) -> Check:
    part = compile_(rule)

    def check(value: Any, seen: Seen) -> bool:
        return type(value) is not dict or all(
            part(value[name], seen) for name in additional(schema, value)
        )

    return check


def _property_names(compile_: Compile, rule: Any, _: Any) -> Check:
    part = compile_(rule)
    return lambda value, seen: type(value) is not dict or all(part(name, seen) for name in value)


def _items(compile_: Compile, rule: Any, schema: Any) -> Check:
    part, first = compile_(rule), len(schema.get("prefixItems", ()))

    def check(value: Any, seen: Seen) -> bool:
        if type(value) is not list:
            return True
        rest = value[first:] if first else value
        return all(part(each, seen) for each in rest)

    return check


def _prefix_items(compile_: Compile, rule: list[Any], _: Any) -> Check:
    parts = [compile_(schema) for schema in rule]

    def check(value: Any, seen: Seen) -> bool:
        return type(value) is not list or all(
            part(each, seen) for part, each in zip(parts, value, strict=False)
        )

    return check


def _contains(compile_: Compile, rule: Any, schema: Any) -> Check:
    part, least = compile_(rule), schema.get("minContains", 1)
    most = schema.get("maxContains", math.inf)

    def check(value: Any, seen: Seen) -> bool:
        if type(value) is not list:
            return True
        return least <= sum(part(each, seen) for each in value) <= most

    return check


def _all_of(compile_: Compile, rule: list[Any], _: Any) -> Check:
    return every([compile_(schema) for schema in rule])


def _any_of(compile_: Compile, rule: list[Any], _: Any) -> Check:
    parts = [compile_(schema) for schema in rule]
    return lambda value, seen: any(part(value, seen) for part in parts)


def _one_of(compile_: Compile, rule: list[Any], _: Any) -> Check:
    parts = [compile_(schema) for schema in rule]
    return lambda value, seen: sum(part(value, seen) for part in parts) == 1


def _not(compile_: Compile, rule: Any, _: Any) -> Check:
    part = compile_(rule)
    return lambda value, seen: not part(value, seen)


def _if(compile_: Compile, rule: Any, schema: Any) -> Check:
    condition = compile_(rule)
    then, other = compile_(schema.get("then", True)), compile_(schema.get("else", True))
    return lambda value, seen: (then if condition(value, seen) else other)(value, seen)


def _dependent_schemas(compile_: Compile, rule: dict[str, Any], _: Any) -> Check:
    parts = [(name, compile_(schema)) for name, schema in rule.items()]

    def check(value: Any, seen: Seen) -> bool:
        return type(value) is not dict or all(
            part(value, seen) for name, part in parts if name in value
        )

    return check


BRANCHES: dict[str, Callable[[Compile, Any, Any], Check]] = {
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "propertyNames": _property_names,
    "items": _items,
    "prefixItems": _prefix_items,
    "contains": _contains,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "dependentSchemas": _dependent_schemas,
}

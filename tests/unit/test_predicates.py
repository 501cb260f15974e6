"""Predicates say of every value what jsonschema says, and say it quickly."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from core.crews.definition import schemas
from core.crews.definition.keywords import BRANCHES, LEAVES
from core.crews.definition.predicates import NotCompiledError, Predicates

NAMES = st.sampled_from(["a", "ab", "b"])
SMALL = st.integers(0, 3)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 4), st.sampled_from([0.0, 1.0, 1.5]), NAMES
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)
)
TYPES = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
RULES: dict[str, Any] = {
    "type": TYPES | st.lists(TYPES, min_size=1, unique=True),
    "enum": st.lists(VALUES, min_size=1, max_size=3),
    "const": VALUES,
    "required": st.lists(NAMES, unique=True),
    "pattern": st.sampled_from(["^a", "b$", "a|b"]),
    "uniqueItems": st.booleans(),
    "multipleOf": st.sampled_from([2, 0.5]),
    "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, unique=True)),
    **dict.fromkeys(["minLength", "minItems", "minProperties", "minContains"], SMALL),
    **dict.fromkeys(["maxLength", "maxItems", "maxProperties", "maxContains"], SMALL),
    **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], SMALL),
    "title": NAMES,
}


def of_schemas(inner: Any) -> Any:
    branches: dict[str, Any] = dict.fromkeys(
        ["additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else"],
        inner,
    )
    branches |= dict.fromkeys(["properties", "dependentSchemas"], st.dictionaries(NAMES, inner))
    branches |= dict.fromkeys(
        ["anyOf", "allOf", "oneOf", "prefixItems"], st.lists(inner, min_size=1, max_size=3)
    )
    branches["patternProperties"] = st.dictionaries(st.sampled_from(["^a", "b$"]), inner)
    return st.fixed_dictionaries({}, optional=RULES | branches)


REFERENCE = st.just({"$ref": "#/$defs/part"})
SCHEMAS = st.recursive(
    st.one_of(st.booleans(), st.fixed_dictionaries({}, optional=RULES), REFERENCE), of_schemas
)


@st.composite
def whole_schemas(draw: Any) -> Any:
    """Schemas whose part may lead back to itself, but only by way of a member or an item."""
    deeper = st.fixed_dictionaries(
        {}, optional={**RULES, "items": SCHEMAS, "additionalProperties": SCHEMAS}
    )
    return {"$defs": {"part": draw(deeper)}, "anyOf": [draw(SCHEMAS)]}


@given(whole_schemas(), st.lists(VALUES, min_size=1, max_size=5))
def test_a_predicate_says_what_jsonschema_says(schema: Any, values: list[Any]):
    fits, plain = Predicates(schema, FormatChecker(())).fits, Draft202012Validator(schema)
    for value in values:
        expected = plain.is_valid(value)
        assert fits(value, {}) is expected
        assert (next(schemas.errors(schema, value), None) is None) is expected


@given(SCHEMAS, VALUES)
def test_the_first_reason_stands_where_jsonschema_sees_one(schema: Any, value: Any):
    whole = {"$defs": {"part": {"type": "string"}}, "allOf": [schema]}
    places = [list(error.absolute_path) for error in Draft202012Validator(whole).iter_errors(value)]
    assert all(list(error.absolute_path) in places for error in schemas.errors(whole, value))


def test_every_keyword_that_jsonschema_checks_is_compiled_or_named():
    checked = set(Draft202012Validator.VALIDATORS) - set(LEAVES) - set(BRANCHES)
    assert checked == {"$ref", "format", "$dynamicRef", "unevaluatedItems", "unevaluatedProperties"}


@pytest.mark.parametrize(
    "schema",
    [
        {"unevaluatedProperties": False},
        {"items": {"$ref": "https://example.com/schema"}},
        {"$defs": {"x": {"$anchor": "x"}}, "items": {"$ref": "#x"}},
        {"$ref": "#/$defs/none"},
    ],
)
def test_what_cannot_be_compiled_is_refused(schema: Any):
    with pytest.raises(NotCompiledError):
        Predicates(schema, FormatChecker(()))


def test_what_is_not_compiled_is_still_checked():
    schema = {"properties": {"a": True}, "unevaluatedProperties": False}
    assert list(schemas.errors(schema, {"a": 1})) == []
    assert len(list(schemas.errors(schema, {"b": 1}))) == 1


def test_a_schema_that_leads_to_itself_in_two_ways_looks_at_each_value_once():
    way = {"properties": {"next": {"$ref": "#"}, "kind": {"enum": ["a"]}}, "required": ["kind"]}
    schema = {"anyOf": [way, {**way, "properties": way["properties"] | {"kind": {"const": "b"}}}]}
    value: Any = {"kind": "c"}
    for _ in range(40):
        value = {"next": value, "kind": "b"}
    begun = time.thread_time()
    assert next(schemas.errors(schema, value), None) is not None
    assert time.thread_time() - begun < 0.5

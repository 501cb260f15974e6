"""What fits, and where it does not, is what jsonschema says, and is said in little time."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.crews.definition import schemas
from tests.pace import cpu_seconds_under

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


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(whole_schemas(), st.lists(VALUES, min_size=1, max_size=5))
def test_mistakes_stand_where_jsonschema_sees_some(schema: Any, values: list[Any]):
    plain = Draft202012Validator(schema)
    for value in values:
        places = [tuple(error.absolute_path) for error in plain.iter_errors(value)]
        found = list(schemas.mistakes(schema, value))
        assert bool(found) is bool(places)
        for mistake in found:
            assert any(place[: len(mistake.place)] == mistake.place for place in places)
            assert mistake.reason


def test_a_schema_that_leads_to_itself_in_two_ways_takes_little_time():
    way = {"properties": {"next": {"$ref": "#"}, "kind": {"enum": ["a"]}}, "required": ["kind"]}
    schema = {"anyOf": [way, {**way, "properties": way["properties"] | {"kind": {"const": "b"}}}]}
    value: Any = {"kind": "c"}
    for _ in range(40):
        value = {"next": value, "kind": "b"}
    with cpu_seconds_under(0.5):
        (mistake,) = schemas.mistakes(schema, value)
    assert (mistake.place, mistake.reason) == ((), "it does not fit anyOf")

"""JSON Schemas over a stranger's text: right, and in time that grows with the text alone."""

from typing import Any

import pytest

from core.crews.definition import patterns, schemas
from core.crews.definition.schemas import mistakes
from tests.pace import cpu_seconds_under


def fits(schema: Any, value: Any) -> bool:
    return next(mistakes(schema, value), None) is None


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "(?:(?:a?){50}){20}b", "^([a-z]+.)+x$"])
def test_a_pattern_takes_time_that_grows_with_the_text(pattern: str):
    with cpu_seconds_under(2):
        assert not fits({"pattern": pattern}, "a" * 50_000 + "!")


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^in_[a-z]+$"},
        {"patternProperties": {"^in_[a-z]+$": True}, "additionalProperties": False},
    ],
)
def test_the_end_of_a_text_is_its_end_and_not_the_line_break_before(schema: Any):
    as_is, with_break = "in_x", "in_x\n"
    if "pattern" not in schema:
        as_is, with_break = {as_is: 1}, {with_break: 1}
    assert fits(schema, as_is)
    assert not fits(schema, with_break)


def test_items_are_told_apart_in_little_time():
    items = [{"a": number, "b": [number]} for number in range(20_000)]
    with cpu_seconds_under(3):
        assert fits({"uniqueItems": True}, items)
        assert not fits({"uniqueItems": True}, [*items, {"b": [7.0], "a": 7}])
        assert fits({"uniqueItems": True}, [1, True, "1", [1], None, 0, False])


@pytest.mark.parametrize(
    "pattern",
    ["(", "a(?=b)", r"(a)\1", "(a{1000}){1000}", "x" * 1001, r"\pL" * 9, "[", "(?i)" + "[à-ÿ]" * 5],
)
def test_a_pattern_that_cannot_be_matched_is_refused_wherever_it_stands(pattern: str):
    assert not patterns.is_pattern(pattern)
    for schema in (
        {"properties": {"default": {"pattern": pattern}}},
        {"anyOf": [{"items": {"pattern": pattern}}]},
        {"patternProperties": {pattern: True}},
        {"$defs": {"x": {"pattern": pattern}}},
    ):
        with pytest.raises(ValueError, match=r"pattern|regular expression"):
            schemas.check(schema)
    assert not fits({"format": "regex"}, pattern)
    schemas.check({"default": {"pattern": pattern}, "properties": {"pattern": {"type": "string"}}})


@pytest.mark.parametrize(
    "pattern",
    [r"^\p{L}+$", "(?<x>n)", "[A-Z]{2,5}-\\d+", "(?i)yes|no", "é", "^.{1,300}$", r"^[\p{L} .-]+$"],
)
def test_ordinary_patterns_are_taken(pattern: str):
    schemas.check({"pattern": pattern})
    assert fits({"format": "regex"}, pattern)


def test_an_upload_is_found_by_its_format_and_must_look_like_one():
    schema = {"properties": {"file": {"format": "crewline-input"}, "other": True, "x": {}}}
    good = "in_" + "0" * 32
    assert schemas.input_ids(schema, {"file": good, "other": "y"}) == {"file": good}
    assert fits(schema, {"file": good})
    for wrong in ("in_1", good + "\n", "", "../x"):
        (mistake,) = mistakes(schema, {"file": wrong})
        assert "POST /v1/inputs" in mistake.reason
        assert mistake.pointer("/inputs") == "/inputs/file"

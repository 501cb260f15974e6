"""Python's words in a crew's JSON Schemas are told with those that were meant."""

from pathlib import Path

import pytest

from tests.unit.test_crew_files import GOOD, problems

DECLARED = "{type: integer, default: 50}"


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("{type: string}", "{type: str}", 7, "topic/type: there is no type 'str' in JSON Schema: write string"),
        ("{type: string}", "{type: [str, 'null']}", 7, "write string"),
        ("{type: string}", "{type: stirng}", 7, "did you mean string?"),
        ("{type: string}", "{type: [a, 5]}", 7, "there are: array, boolean"),
        ("{type: string}", "{type: file}", 7, "write string, with format: crewline-input"),
        ("{type: string}", "{type: {a: b}}", 7, "must be one of array, boolean"),
        (DECLARED, "{type: array, items: {type: dict}}", 8, "write object"),
        (DECLARED, "{type: array, items: string}", 8, "must be a schema, such as {type: string}"),
        (DECLARED, "str", 8, "must be a schema"),
        (DECLARED, "{anyOf: [str, int]}", 8, "must be a schema"),
        (DECLARED, "{type: int}", 8, "write integer"),
        (DECLARED, "{type: integer, required: true}", 8, "required: [name, ...]"),
        (DECLARED, "{type: integer, minimum: 1, max: 3}", 8, "write maximum"),
        (DECLARED, "{type: string, min_length: 3}", 8, "write minLength"),
        (DECLARED, "{type: string, descripton: a}", 8, "did you mean description?"),
        (DECLARED, "{type: string, nullable: true}", 8, '[string, "null"]'),
        (DECLARED, "{type: string, colour: red}", 8, "begin with x-"),
        (DECLARED, "{oneOf: [{type: string, ge: 3}]}", 8, "write minimum"),
        ("  properties:", "  requierd: [topic]\n  properties:", 6, "did you mean required?"),
    ],
)  # fmt: skip
def test_words_of_python_in_a_schema_are_told_with_those_of_json_schema(
    tmp_path: Path, old: str, new: str, line: int, complaint: str
):
    assert old in GOOD
    told = problems(tmp_path, letter=GOOD.replace(old, new, 1))
    assert [(complaint in each.error, each.line) for each in told] == [(True, line)]


@pytest.mark.parametrize(
    "schema",
    ["{type: string, x-names: [a]}", "{enum: [{type: str}], default: {ge: 1}, examples: [{str: 1}]}",
     "{type: object, properties: {min: {type: integer}, required: {type: boolean}}}",
     "{$ref: '#/$defs/any'}", "true"],
)  # fmt: skip
def test_what_a_schema_may_hold_is_left_alone(tmp_path: Path, schema: str):
    text = GOOD.replace("{type: string}", schema).replace(
        "  properties:", "  $defs: {any: {}}\n  properties:"
    )
    text = text.replace("default: {ge: 1}, ", "") if "enum" in schema else text
    assert problems(tmp_path, letter=text) == []

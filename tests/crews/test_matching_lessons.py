"""What lessons do to a mapping: they speak beside the evidence, and never against the schema."""

import io
import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crews.import_mapping.column_decisions import decided, decisions, memory
from crews.import_mapping.lessons import Lesson, line, read
from crews.import_mapping.matching import propose
from crews.import_mapping.profile import profile_csv
from tests.crews.test_matching import TARGET, columns

TEXT = "zip,bokst,ser,q\n94704,A,Hof,x\n94705,B,Berg,y\n"


def lesson(column: str, field: str | None, sure: float, usual: float | None) -> str:
    found = Lesson(column, field, id="m/7")
    return line(found if usual is None else replace(found, sure=sure, usual=usual))


def entry(column: str, *lessons: str, text: str = TEXT) -> dict[str, Any]:
    return next(e for e in propose(columns(text), TARGET, lessons) if e["column"] == column)


def test_a_lesson_maps_what_nothing_speaks_for_and_the_reason_names_it():
    assert entry("bokst")["field"] is None
    learnt = entry("bokst", lesson("BOKST", "unit", 0.9, 0.1))
    assert (learnt["field"], learnt["confidence"]) == ("unit", 0.9)
    assert learnt["reason"] == "lesson m/7 says unit (0.90 sure)"


def test_a_lesson_that_is_not_surer_than_usual_changes_no_evidence():
    without = entry("zip")
    assert entry("zip", lesson("zip", None, 0.8, 0.8))["field"] == without["field"] == "postcode"
    gone = entry("zip", lesson("zip", None, 0.999, 0.05))
    assert (gone["field"], gone["reason"]) == (None, "lesson m/7 says nothing (1.00 sure)")


def test_what_was_said_of_a_column_holds_against_all_evidence_that_speaks_otherwise():
    gone = entry("zip", lesson("zip", None, 0.1, None))
    assert (gone["field"], gone["reason"]) == (None, "lesson m/7 says nothing (said of it before)")
    assert entry("bokst", lesson("bokst", "unit", 0.1, None))["field"] == "unit"


@pytest.mark.parametrize("usual", [0.001, None])
def test_a_lesson_never_maps_what_the_schema_rules_out(usual: float | None):
    assert entry("q", lesson("q", "lat", 0.999, usual))["field"] is None


def test_of_two_columns_that_say_the_same_a_lesson_tells_which_it_is():
    target = {"properties": {"description": {"type": "string", "x-names": ["details"]}}}
    two = columns("details,description\nfoo,bar\nbaz,quux\n")
    learnt = lesson("details", None, 0.9, 0.5), lesson("description", "description", 0.9, 0.5)
    before = [e["field"] for e in propose(two, target)]
    assert before == ["description", None]
    after = propose(two, target, learnt)
    assert [e["field"] for e in after] == [None, "description"]
    assert "lesson m/7" in after[0]["reason"]


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_lesson_reads_as_it_was_written(column: str, sure: float, usual: float):
    readable = column and not set(column) & set('"\n')
    for told in (
        Lesson(column, "unit", round(sure, 3), round(usual, 3), "m/7"),
        Lesson(column, "unit", id="m/7"),
        Lesson(column, "unit"),
    ):
        found = read([f"- {line(told)}"], [column], ["unit"])
        assert found == ([told] if readable else [])


def test_the_decisions_of_a_mapping_are_its_columns_and_what_is_proposed_for_them():
    with_profile = json.dumps(asdict(profile_csv(io.BytesIO(TEXT.encode()))))
    inputs = {"target": TARGET}
    assert decisions("no profile", inputs, "") == ()
    found = {each.about: each for each in decisions(with_profile, inputs, "")}
    assert found["zip"].context == {"column": "zip", "proposed": "postcode"}
    assert found["zip"].usual == {"column": "", "proposed": "postcode"}
    assert found["q"].context == {"column": "q", "proposed": "(none)"}
    mapped = {"columns": propose(columns(TEXT), TARGET)}
    assert decided(mapped)["q"] == "(none)"
    assert memory(inputs) != memory({"target": {"properties": {"zip": {}}}})

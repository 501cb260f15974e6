"""The worst that a stranger's target and file can ask for: refused at the launch, or done in time.

A worker runs many tenants' steps in one process, and a thread cannot be stopped from outside.
"""

import contextlib
import io
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.crews.definition import Registry
from core.errors import InvalidInputError
from crews.import_mapping import cpu_limit, matching, names
from crews.import_mapping.blocks import json_objects
from crews.import_mapping.cpu_limit import TooMuchWork
from crews.import_mapping.dialect import detect_dialect
from crews.import_mapping.errors import BadCsv
from crews.import_mapping.evidence import Column
from crews.import_mapping.profile import profile_csv
from crews.import_mapping.target import fields
from tests.pace import cpu_seconds_under

CREW = Registry(Path("crews")).get("import_mapping")
FILE = "in_" + "0" * 32
DEFAULT: dict[str, Any] = CREW.inputs["properties"]["target"]["default"]
SECONDS = 2.0  # of the processor, for what took minutes or for ever


def column(name: str, *values: str) -> Column:
    shown = (values or ("x",)) * 10
    return Column(
        name=name, rows=10, empty_share=0, distinct=10, numeric_share=0, range=None, integer=False,
        values=dict.fromkeys(shown, 1), samples=shown[:10],
    )  # fmt: skip


def launched(target: Any) -> dict[str, Any]:
    return CREW.with_defaults({"file": FILE, "target": target})["target"]


def of_field(**schema: Any) -> dict[str, Any]:
    return {"properties": {"name": schema}}


def seconds_of(columns: list[Column], target: dict[str, Any]) -> float:
    began = time.thread_time()
    matching.propose(columns, launched(target))
    return time.thread_time() - began


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "(?:(?:a?){50}){20}b"])
def test_no_pattern_takes_longer_than_the_text_is_long(pattern: str):
    cells = [column("name", "a" * 40 + "!"), column("other", "a" * 60)]
    assert seconds_of(cells, of_field(type="string", pattern=pattern)) < SECONDS


@pytest.mark.parametrize(
    "name",
    [
        "a" * 44,
        " ".join(["word"] * 400),
        " ".join(f"ab{chr(97 + n % 26)}" for n in range(400)),
        "aA" * 5_000,
        "ﷺ" * 200,
    ],
)
def test_no_name_takes_long_to_compare(name: str):
    names = [" ".join(["aaaaaaaaaa"] * n)[:80] for n in range(1, 17)]
    assert seconds_of([column(name)], of_field(**{"x-names": names})) < SECONDS
    assert seconds_of([column(name)], DEFAULT) < SECONDS


def test_all_bounds_at_once_end_with_a_sentence_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(matching, "CPU_SECONDS", 0.5)
    drawn = random.Random(1)

    def phrase(words: int) -> str:
        return " ".join("".join(drawn.choices("ab", k=drawn.randint(1, 8))) for _ in range(words))

    field = {"x-names": [phrase(9)[:80] for _ in range(200)], "examples": [phrase(5)] * 1000}
    target = {"properties": {f"f{n}": field for n in range(60)}}
    columns = [column(f"{phrase(10)}{n}", phrase(20)[:60]) for n in range(500)]
    taken = launched(target)
    with cpu_seconds_under(0.5 + SECONDS), pytest.raises(TooMuchWork, match="shorten x-names"):
        matching.propose(columns, taken)


@pytest.mark.parametrize(
    "text",
    ["a." * 8_000, "1." * 8_000, "a" * 16_000 + "@", "-" * 16_000, "a@" * 8_000, '"' * 16_000],
)
def test_no_header_takes_long_to_tell_its_delimiter(text: str):
    with cpu_seconds_under(SECONDS), contextlib.suppress(BadCsv):
        detect_dialect(f"{text}\nx,y\n")


@pytest.mark.parametrize("line", ['x",",z\n', '"\n', '"a""\n', ',"\n', '""",x\n', 'a","b\n'])
def test_no_quotes_take_long_to_tell_rows_apart(line: str):
    text = "a,b\n" + "1,2\n" * 3_000 + line * (60_000 // len(line))
    with cpu_seconds_under(SECONDS), contextlib.suppress(BadCsv):
        profile_csv(io.BytesIO(text.encode()))


def test_long_header_cells_are_cut_and_the_cut_is_noted():
    head = ",".join(f"{n}{'a' * 5_000}" for n in "bcd")
    found = profile_csv(io.BytesIO(f"{head}\nx,y,z\n".encode()))
    assert [len(each.name) for each in found.columns] == [200] * 3
    assert len(found.notes) == 3


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        (5, ""),
        ({"type": "strnig"}, "/type"),
        ({"type": []}, "/type"),
        ({"minimum": "0"}, "/minimum"),
        ({"maximum": None}, "/maximum"),
        ({"description": None}, "/description"),
        ({"examples": 5}, "/examples"),
        ({"examples": [{}]}, "/examples/0"),
        ({"x-names": "one"}, "/x-names"),
        ({"x-names": ["a" * 81]}, "/x-names/0"),
        ({"x-names": ["a"] * 201}, "/x-names"),
        ({"x-unique": 1}, "/x-unique"),
        ({"pattern": "("}, "/pattern"),
        ({"pattern": "a(?=b)"}, "/pattern"),
        ({"pattern": 1}, "/pattern"),
        ({"pattern": "(a{1000}){1000}"}, "/pattern"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused_at_the_launch(schema: Any, pointer: str):
    with pytest.raises(InvalidInputError) as refused:
        launched({"properties": {"name": schema}})
    assert f"/inputs/target/properties/name{pointer}" in refused.value.pointers


@pytest.mark.parametrize(
    ("schema", "numeric"),
    [
        (True, False),
        ({}, False),
        ({"type": ["number", "null"]}, True),
        ({"type": ["number", "string"]}, False),
        ({"type": "integer", "minimum": 0, "title": "Count", "format": "x"}, True),
        ({"pattern": r"^\p{L}+$"}, False),
        ({"pattern": "(?<x>n)"}, False),
    ],
)
def test_ordinary_schemas_are_read(schema: Any, numeric: bool):
    target = launched({"properties": {"name": schema}})
    (field,) = fields(target)
    assert field.numeric is numeric
    assert len(matching.propose([column("name")], target)) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
KEYWORDS = st.sampled_from(
    ["type", "description", "minimum", "maximum", "pattern", "examples", "x-names", "x-parts",
     "x-unique", "title", "enum", "format"]
)  # fmt: skip
FIELD = JSON | st.dictionaries(
    KEYWORDS, JSON | st.sampled_from(["integer", ["null", "number"], [7]])
)


@given(
    st.dictionaries(st.text(max_size=6), FIELD, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["x-neutral", "type"]), JSON),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_target_that_is_launched_can_be_used(properties: dict[str, Any], more: dict[str, Any]):
    try:
        target = launched({"properties": properties, **more})
    except InvalidInputError:
        return
    columns = [column("name", "a", "7"), column("id.Number", "1.5")]
    found = matching.propose(columns, target)
    assert matching.review(columns, target, found)


def test_a_hundred_columns_of_many_words_take_hardly_longer_each_than_ten():
    def seconds(columns: int) -> float:
        for cache in (names.words, names._runs, names._spelling, names._skeleton):
            cache.cache_clear()
        named = [column(f"col {n} house number street") for n in range(columns)]
        return seconds_of(named, DEFAULT)

    assert seconds(100) < SECONDS / 2
    assert seconds(100) < 20 * seconds(10) + 0.1


def test_waiting_for_other_threads_is_no_way_around_the_limit():
    with cpu_limit.cpu_limit(0.01):
        time.sleep(0.05)
        with pytest.raises(TooMuchWork):
            cpu_limit.check_cpu_limit()


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 20_000,
        '{"a":' * 900 + "[" + "1," * 50_000,
        ('{"a":' * 900 + "x") * 20,
        "{" * 100_000,
    ],
)
def test_no_text_takes_long_to_search_for_objects(text: str):
    with cpu_seconds_under(SECONDS / 4):
        assert list(json_objects(f'{{"b": 1}} {text}')) == [{"b": 1}]


def test_objects_within_what_breaks_off_are_found():
    assert list(json_objects('{"a": {"b": 1}, {"c": [{"d": 2}')) == [{"b": 1}, {"d": 2}]

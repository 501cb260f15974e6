"""What is taken as a context, what is refused, and what it costs."""

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInputError, TooLargeError
from core.learning.context import MAX_BYTES, MAX_DEPTH, Leaf, digest, leaves
from tests.pace import cpu_seconds_under

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
CONTEXTS = st.dictionaries(st.text(max_size=8), JSON, max_size=5)


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_a_context_is_its_values_with_the_names_that_lead_to_them():
    context = {
        "column": "ZIP",
        "of": {"file": "a.csv", "rows": 3},
        "siblings": ["LAT", {"name": "LON"}],
    }
    assert leaves(context) == [
        Leaf("column", "ZIP"), Leaf("of.file", "a.csv"), Leaf("of.rows", 3),
        Leaf("siblings", "LAT", listed=True), Leaf("siblings.name", "LON", listed=True),
    ]  # fmt: skip


@pytest.mark.parametrize(("context", "pointer"), [
    ({"a": {"b": [1, math.nan]}}, "/context/a/b/1"),
    ({"a": -math.inf}, "/context/a"),
    ({"a": {1: 2}}, "/context/a"),
    ({None: 2}, "/context"),
    ({"a/b": {"~": b"bytes"}}, "/context/a~1b/~0"),
    ([1], "/context"),
    ("text", "/context"),
    (nested(MAX_DEPTH + 1), "/context" + "/a" * MAX_DEPTH),
])  # fmt: skip
def test_what_is_no_json_or_too_deep_is_refused_and_the_error_says_where(
    context: Any, pointer: str
):
    with pytest.raises(InvalidInputError) as error:
        leaves(context)
    assert list(error.value.pointers) == [pointer]


def test_as_many_levels_as_are_promised_are_taken():
    assert leaves(nested(MAX_DEPTH)) == [Leaf(".".join("a" * MAX_DEPTH), 1)]


@pytest.mark.parametrize("context", [
    {"a": "x" * MAX_BYTES},
    {"é" * (MAX_BYTES // 2): 1},
    {"a": "\ud800" * MAX_BYTES},
    {str(number): 1 for number in range(MAX_BYTES)},
    {"a": [[]] * MAX_BYTES},
    {"a": 10**200_000},
])  # fmt: skip
def test_what_is_larger_than_64_kb_is_refused(context: Any):
    with pytest.raises(TooLargeError):
        leaves(context)


def test_values_that_python_shares_are_counted_each_time():
    context: dict[str, Any] = {"a": "x" * 100}
    for _ in range(MAX_DEPTH - 2):
        context = {"a": context, "b": context}
    with cpu_seconds_under(1), pytest.raises(TooLargeError):
        leaves(context)


def test_a_long_name_above_many_values_costs_no_more_than_a_short_one():
    def seconds(name: str) -> float:
        started = time.process_time()
        assert len(leaves({name: {str(n): 1 for n in range(3000)}})) == 3000
        return time.process_time() - started

    assert (
        min(seconds("x" * 40_000) for _ in range(3))
        < 10 * min(seconds("x") for _ in range(3)) + 0.01
    )


@given(CONTEXTS)
def test_the_digest_is_that_of_the_content(context: dict[str, Any]):
    turned = dict(reversed(list(context.items())))
    assert digest(context) == digest(turned)
    assert digest(context) != digest({**context, "one more": 1})


def test_the_digest_tells_values_apart_that_python_holds_equal():
    assert len({digest({"a": value}) for value in (1, True, "1", None, [1])}) == 5

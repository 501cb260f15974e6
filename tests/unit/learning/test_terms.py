"""What of a context is compared: fields, words, numbers, dates; bounded for any context."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from core.learning.learner.terms import BUCKETS, MAX_CHARACTERS, MAX_LEAVES, terms
from tests.pace import cpu_seconds_under
from tests.unit.learning.test_context import CONTEXTS


def words(context: dict[str, Any]) -> set[str]:
    return set(terms(context).words)


def overlap(one: dict[str, Any], other: dict[str, Any]) -> int:
    return len(np.intersect1d(terms(one).buckets, terms(other).buckets))


def test_a_text_is_whole_and_in_words_and_pairs_with_its_field_in_each():
    assert words({"column": "streetName_2"}) == {
        "column=streetname_2", "column:street", "column:name", "column:2",
        "column:^ street", "column:street name", "column:name 2", "column:2 $",
    }  # fmt: skip


def test_words_are_the_same_with_common_endings():
    assert words({"a": "booking hotels"}) & words({"a": "booked hotel"}) >= {"a:book", "a:hotel"}


def test_the_same_text_in_another_field_is_another_term():
    assert not words({"column": "x"}) & words({"siblings": ["x"]})


def test_what_is_spelt_alike_shares_runs_of_characters():
    alike = overlap({"column": "postcode"}, {"column": "post_codes"})
    assert alike > 5 > overlap({"column": "postcode"}, {"column": "lat"})


def test_texts_in_lists_are_words_only():
    assert len(terms({"a": ["abcdefgh"]}).buckets) == len(terms({"a": ["abcdefgh"]}).words)


def test_numbers_are_whole_with_sign_and_magnitude():
    assert words({"n": 300}) == {"n=300", "n:+2^9", "n:+10^2"}
    assert words({"n": 300.0}) == words({"n": 300})
    assert "n:-2^9" in words({"n": -301.5})
    assert words({"n": 0}) == {"n=0"}


def test_a_flag_is_not_the_number_one_whichever_came_first():
    assert words({"f": 1}) != words({"f": True})
    assert words({"g": True}) != words({"g": 1})


def test_a_date_has_parts_that_come_again():
    assert words({"d": "2026-11-27T08:30:00Z"}) >= {
        "d:year 2026",
        "d:month 11",
        "d:weekday 4",
        "d:hour 8",
    }
    assert "d:hour 0" not in words({"d": "2026-11-27"})
    assert words({"d": "2026-11-31"}) == {"d=2026-11-31"}


def test_no_term_has_a_line_break_whatever_the_context_has():
    assert not [term for term in words({"a\nb": "x\ny", "c": {"\n": ["\r\n"]}}) if "\n" in term]


@given(CONTEXTS)
def test_terms_of_any_context_are_distinct_rising_buckets_with_weights(context: dict[str, Any]):
    found = terms(context)
    assert len(found.buckets) == len(found.weights)
    assert (np.diff(found.buckets) > 0).all()
    assert all(bucket in range(BUCKETS) for bucket in found.buckets.tolist())
    assert (found.weights >= 1).all()
    assert terms(context).words == found.words


@pytest.mark.parametrize("context", [
    {"a": "x y " * 16_000},
    {"a": "xy" * 32_000},
    {str(n): f"word{n} " * 3 for n in range(1_500)},
    {"a": [f"w{n}" for n in range(9_000)]},
    {"a": "1" * 60_000},
])  # fmt: skip
def test_the_largest_contexts_take_milliseconds_and_a_bounded_number_of_terms(
    context: dict[str, Any],
):
    terms({"warm": "up"})
    with cpu_seconds_under(0.3):
        found = terms(context)
    assert len(found.buckets) <= 6 * (MAX_CHARACTERS + 64 * MAX_LEAVES) // 4


def test_of_many_long_texts_each_says_something():
    found = words({f"f{n}": f"name{n} " + "x " * 200 for n in range(50)})
    assert all(f"f{n}:name" in found for n in range(50))

"""Prices as plain data: what a tenant may write, and what is refused, with where and why."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.costs.price_lists import check_price, entry_rates
from core.errors import InvalidInputError

GOOD = {"input": "2.50", "output": 10}


def test_what_is_left_out_costs_as_what_it_is_part_of():
    rates = entry_rates({"input": "2", "output": "8", "cache_write_5m": "2.5"}, "me")
    assert rates is not None
    [tier] = rates.tiers
    assert (tier.cache_read, tier.cache_write_1h, tier.reasoning) == (
        2 * 10**9,
        25 * 10**8,
        8 * 10**9,
    )


def test_a_tier_says_only_what_changes():
    entry = {**GOOD, "cache_read": 1, "tiers": [{"above": 200_000, "input": 5}]}
    rates = entry_rates(entry, "me")
    assert rates is not None
    base, long = rates.tiers
    assert (base.above, long.above) == (0, 200_000)
    assert (long.input, long.cache_read, long.output) == (5 * 10**9, 10**9, base.output)


def test_a_variant_says_only_what_changes_and_is_none_where_it_is_not_told():
    entry = {**GOOD, "cache_read": 1, "batch": {"input": "1.25", "output": 5}}
    batch = entry_rates(entry, "me", "batch")
    assert batch is not None
    assert (batch.tiers[0].input, batch.tiers[0].cache_read) == (125 * 10**7, 10**9)
    assert entry_rates(entry, "me", "flex") is None


def test_a_price_with_more_decimals_than_a_nanodollar_is_rounded_up():
    rates = entry_rates({"input": "0.0000000001", "output": 0}, "me")
    assert rates is not None
    assert rates.tiers[0].input == 1


def test_the_examples_of_the_docs_are_taken():
    text = Path("docs/costs.md").read_text()
    examples = re.findall(r"/v1/prices/(\S+)\" .*?-d '(.*?)'", text, re.DOTALL)
    for model, body in examples:
        entry = {name: value for name, value in json.loads(body).items() if name != "from"}
        assert check_price(model, entry) == (model, entry)
    assert len(examples) == 2


@pytest.mark.parametrize("price", [0.1, "0.1", 0, 100_000, "1e-3"])
def test_a_price_is_a_number_or_a_text(price: Any):
    told = {"input": price, "output": price}
    assert check_price("gpt-x", told) == ("openai/gpt-x", told)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (None, "the entry: an object"),
        ([], "the entry: an object"),
        ({}, "input: needed"),
        ({"output": 1}, "input: needed"),
        (
            {**GOOD, "inptu": 1},
            "inptu: is unknown; did you mean input? There are: input, output, cache_read, ",
        ),
        ({**GOOD, "input": -1}, "input: a price in USD, from 0 to 100,000"),
        ({**GOOD, "input": "1e999999999"}, "input: a price in USD, from 0 to 100,000"),
        ({**GOOD, "input": 100_001}, "input: a price in USD"),
        ({**GOOD, "input": "1e400"}, "input: a price in USD"),
        ({**GOOD, "input": float("nan")}, "input: a price in USD"),
        ({**GOOD, "input": float("inf")}, "input: a price in USD"),
        ({**GOOD, "input": "sNaN"}, "input: a price in USD"),
        ({**GOOD, "input": "two"}, "input: a price in USD"),
        ({**GOOD, "input": "9" * 1_000_000}, "input: a price in USD"),
        ({**GOOD, "input": True}, "input: a price in USD, as a number or a text"),
        ({**GOOD, "input": None}, "input: a price in USD"),
        ({**GOOD, "input": {"USD": 1}}, "input: a price in USD"),
        ({**GOOD, "per_call": -1}, "per_call: a price in USD"),
        ({**GOOD, "tiers": {}}, "tiers: a list"),
        ({**GOOD, "tiers": [3]}, "tiers: an object"),
        ({**GOOD, "tiers": [{"input": 1}]}, "above: a number of tokens"),
        ({**GOOD, "tiers": [{"above": 0, "input": 1}]}, "above: a number of tokens"),
        ({**GOOD, "tiers": [{"above": 1.5, "input": 1}]}, "above: a number of tokens"),
        (
            {**GOOD, "tiers": [{"above": 1, "upper": 1}]},
            "upper: is unknown; there are: input, output, cache_read, ",
        ),
        ({**GOOD, "tiers": [{"above": n} for n in (5, 4)]}, "tiers begin at 0 and rise"),
        ({**GOOD, "tiers": [{"above": n} for n in range(1, 20)]}, "at most 8"),
        ({**GOOD, "batch": 1}, "batch: an object"),
        ({**GOOD, "batch": {"input": "x"}}, "input: a price in USD"),
        ({**GOOD, "batch": {"flex": {}}}, "batch: flex: is unknown; there are: input, output, "),
        ({"same_as": ""}, "same_as stands alone"),
        ({"same_as": 3}, "same_as stands alone"),
        ({"same_as": "x" * 300}, "same_as stands alone"),
        ({"same_as": "openai/gpt-4o", "input": 1}, "same_as stands alone"),
    ],
)
def test_what_is_no_price_is_refused_with_the_field_and_the_reason(entry: Any, said: str):
    with pytest.raises(InvalidInputError) as refused:
        check_price("azure/ours", entry)
    [(pointer, problem)] = refused.value.pointers.items()
    assert said in f"{pointer.removeprefix('/')}: {problem}".removeprefix(": ")
    assert len(problem) < 220


@pytest.mark.parametrize("name", ["", "x" * 1_000_000])
def test_a_models_name_has_a_length(name: str):
    with pytest.raises(InvalidInputError) as refused:
        check_price(name, GOOD)
    assert len(str(refused.value.pointers)) < 500

"""Recommendations: ids that name what they are about, and texts with the numbers in them."""

import json
import random

import pytest

from core.costs.cells import Cell
from core.costs.savings.recommendation import Kind, Target, read_id
from core.costs.savings.report import ORDER, PIECE_NAMES
from core.errors import NotFoundError
from tests.unit.savings.replay import (
    Made,
    flows,
    kinds,
    promised,
    record_of,
    recorded,
    savings_of,
)

GPT4O, SONNET = "openai/gpt-4o", "anthropic/claude-sonnet-4-5"


def some_of_each() -> list[Made]:
    calls = flows(150, 4, SONNET, late=True, checked=True)
    more = [
        Made(
            each.at_ms + 1,
            each.messages,
            each.output,
            GPT4O,
            task="short",
            flow=each.flow,
            before=why,
        )
        for each in calls[:200]
        for why in (None, "answer_refused")
    ]
    return [*calls, *more]


@pytest.mark.parametrize("kind", Kind)
def test_an_id_names_its_target(kind: Kind):
    target = Target(kind, "brief", "write it", "ä/b", "openai/gpt-4o", 'x"y')
    assert read_id(target.id) == target
    assert set(target.id) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "right_sizing", "right_sizing.", "right_sizing.e30", "right_sizing.W10", "x.WyJhIl0",
        "right_sizing." + "A" * 5000, "right_sizing.W1siYSJdLCJiIiwiYyIsImQiLCJlIl0", "right_sizing.ÿ",
        Target(Kind.CASCADE, "a", "b", "c", "d", "e").id + "=",
        Target(Kind.CASCADE, "a", "b", "c", "d", "e").id.replace(".", ".\n"),
    ],
)  # fmt: skip
def test_what_is_no_id_names_nothing(text: str):
    with pytest.raises(NotFoundError):
        read_id(text)


def test_any_text_is_an_id_or_is_not_found():
    some = random.Random(3)
    for _ in range(500):
        coded = "".join(some.choices('abcWyJIlQ0_-=[" ', k=some.randrange(40)))
        try:
            assert read_id(f"cascade.{coded}").id == f"cascade.{coded}"
        except NotFoundError:
            continue


def test_each_says_what_it_rests_on_and_what_to_do():
    found = promised(some_of_each())
    assert len(kinds(found)) >= 4
    for each in found.recommendations:
        told = each.public()
        assert json.loads(json.dumps(told)) == told
        assert told["evidence"]["from"] == "2026-11-01"
        assert told["evidence"]["calls"] > 0
        assert told["low_nanodollars"] <= told["saved_nanodollars"] <= told["high_nanodollars"]
        assert told["saved_nanodollars"] > 0
        assert "$" in told["formula"]
        assert len(told["change"]) > 20


def test_the_same_cells_in_another_order_are_told_the_same():
    cells = recorded(some_of_each())
    found = savings_of(record_of(cells))
    again = savings_of(record_of(reversed(cells)))
    assert again.public() == found.public()
    assert again.recommendations == found.recommendations


def test_of_more_names_than_are_looked_at_at_once_each_has_its_recommendations():
    cells = recorded(some_of_each())
    crews = [f"crew {number:03}" for number in range(PIECE_NAMES + 1)]
    many = savings_of(record_of(of_crew(cell, crew) for crew in crews for cell in cells))
    expected = {(each.target.kind, each.target.names[1:]) for each in
                savings_of(record_of(of_crew(cell, "one") for cell in cells)).recommendations}  # fmt: skip
    for crew in crews:
        found = [each.target for each in many.recommendations if each.target.crew == crew]
        assert {(target.kind, target.names[1:]) for target in found} == expected
        assert len(found) == len(expected) > 0


def test_each_kind_of_saving_is_a_function_in_a_file_of_its_name():
    names = {find.__name__: find.__module__ for find in ORDER}
    assert names == {str(kind): f"core.costs.savings.{kind}" for kind in Kind}


def of_crew(cell: Cell, crew: str) -> Cell:
    return cell._replace(names=(crew, *cell.names[1:]))

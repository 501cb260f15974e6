"""Recommendations of other models, replayed: by what is recorded of them, or not at all."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.costs.cells import Cell
from core.costs.facts import Facts
from core.costs.recording import ReportedCall
from core.costs.recording import recorded as recorded_call
from core.costs.rollup import Names
from core.costs.savings.recommendation import Kind, Target
from core.costs.token_counts import TokenCounts
from core.costs.usage import Usage
from tests.unit.savings.replay import (
    BOOK,
    NOON,
    Made,
    alone,
    cost,
    flows,
    keeps,
    kinds,
    promised,
    record_of,
    replayed,
    savings_of,
)

SONNET, HAIKU = "anthropic/claude-sonnet-4-5", "anthropic/claude-haiku-4-5"
GPT5, GPT4O, MINI = "openai/gpt-5", "openai/gpt-4o", "openai/gpt-4o-mini"
GEMINI = "gemini/gemini-2.5-pro"
HOUR_MS = 3_600_000


def targets(calls: Sequence[Made]) -> list[Target]:
    return [each.target for each in promised(calls).recommendations]


def answers(count: int, model: str, failing: float, some: random.Random) -> list[Made]:
    """Checked answers to one task, some of which are refused and given again."""
    calls = list[Made]()
    for call in flows(count, 1, model, system=100, checked=True):
        calls.append(call)
        while some.random() < failing:
            calls.append(replace(calls[-1], at_ms=calls[-1].at_ms + 1, before="answer_refused"))
    return calls


def test_a_model_that_is_recorded_to_be_as_good_does_the_task_for_what_it_cost():
    some = random.Random(1)
    calls = [*answers(600, GPT4O, 0.05, some), *answers(500, MINI, 0.05, some)]
    found = alone(calls, Kind.RIGHT_SIZING)
    assert (found.target.model, found.target.to, found.verified) == (GPT4O, MINI, True)
    assert "trial" not in found.change


def test_what_it_costs_lies_within_its_range_nineteen_times_of_twenty():
    inside = promise = truth = 0
    for seed in range(20):
        some = random.Random(seed)
        dear = answers(300, GPT4O, 0.08, some)
        found = alone([*dear, *answers(250, MINI, 0.04, some)], Kind.RIGHT_SIZING)
        saved = cost(dear) - cost(answers(300, MINI, 0.04, some))
        inside, promise, truth = (
            inside + keeps(found, saved),
            promise + found.money.saved,
            truth + saved,
        )
    assert inside >= 18
    assert promise == pytest.approx(truth, rel=0.02)


def test_a_model_that_nobody_has_tried_at_the_task_is_to_be_tried_first():
    dear = answers(300, GPT4O, 0.0, random.Random(1))
    found = alone(dear, Kind.RIGHT_SIZING)
    assert (found.target.to, found.verified) == (MINI, False)
    assert f'POST /v1/costs/savings/{found.target.id}/trial {{"share": 0.2}}' in found.change
    assert keeps(found, replayed(dear, lambda call: replace(call, model=MINI)))
    twice = [replace(call, model=MINI, output=2 * call.output, messages=call.messages * 2) for call in dear]  # fmt: skip
    assert keeps(found, cost(dear) - cost(twice))


def test_a_model_that_fails_more_often_tries_first_and_what_is_refused_goes_on():
    inside = promise = truth = 0
    for seed in range(20):
        some = random.Random(seed)
        dear = answers(150, GPT4O, 0.01, some)
        one = alone([*dear, *answers(150, MINI, 0.25, some)], Kind.CASCADE)
        firsts = flows(150, 1, MINI, system=100)
        seconds = [replace(call, model=GPT4O) for call in firsts if some.random() < 0.25]
        saved = cost(dear) - cost([*firsts, *seconds])
        inside, promise, truth = (
            inside + keeps(one, saved),
            promise + one.money.saved,
            truth + saved,
        )
    assert inside >= 18
    assert promise == pytest.approx(truth, rel=0.02)


def test_a_model_that_is_recorded_to_fail_too_often_is_not_recommended_for_the_whole_task():
    some = random.Random(1)
    told = targets([*answers(300, GPT4O, 0.01, some), *answers(300, MINI, 0.25, some)])
    assert Kind.CASCADE in [each.kind for each in told]
    assert MINI not in [each.to for each in told if each.kind is Kind.RIGHT_SIZING]


def test_of_calls_made_elsewhere_only_what_they_tell_is_recommended():
    names = ("support", "answer", "writer", "ann", SONNET)
    tokens = TokenCounts(900, cache_write_5m=4_000, output=200)
    made = [recorded_call(ReportedCall(f"c{n}", NOON, names, tokens), BOOK) for n in range(100)]
    cells = [Cell.of("2026-11-25", None, names, each.usage, each.facts) for each in made]
    found = savings_of(record_of(cells))
    assert kinds(found) == [Kind.UNREAD_CACHE_WRITES, Kind.RIGHT_SIZING]
    (writes,) = [e for e in found.recommendations if e.target.kind is Kind.UNREAD_CACHE_WRITES]
    assert writes.money.saved == 100 * 4_000 * (3_750 - 3_000)
    (smaller,) = [e for e in found.recommendations if e.target.kind is Kind.RIGHT_SIZING]
    assert "/v1/" not in smaller.change  # no crew of ours makes them


@pytest.mark.parametrize("quality", ["low", "high", "critical"])
def test_critical_calls_are_never_told_to_use_a_smaller_model(quality: str):
    names = ("support", "answer", "writer", "ann", GPT4O)
    tokens = TokenCounts(50_000, output=5_000)
    calls = [
        ReportedCall(f"c{n}", NOON, names, tokens, required_quality=quality if n == 7 else "low")
        for n in range(20)
    ]
    made = [recorded_call(call, BOOK) for call in calls]
    cells = [Cell.of("2026-11-25", None, names, each.usage, each.facts) for each in made]
    told = [each.target.kind for each in savings_of(record_of(cells)).recommendations]
    assert (Kind.RIGHT_SIZING in told) == (quality != "critical")


@pytest.mark.parametrize("where", [("support", "answer"), ("~", "~")])
def test_a_task_is_critical_whatever_model_was_asked_and_where_a_call_lost_its_name(
    where: tuple[str, str],
):
    dear = cell(("support", "answer", "writer", "ann", GPT4O), Usage(9, 900_000, 9_000, 10**9), {})
    other = *where, "writer", "bob", "acme/secret-1"
    unpriced = cell(other, Usage(1, 9, 9, unpriced_calls=1), {"quality_critical": 1})
    found = [savings_of(record_of(some)) for some in ([dear], [dear, unpriced])]
    assert [kinds(each) for each in found] == [[Kind.RIGHT_SIZING], []]


def cell(names: Names, usage: Usage, facts: Facts) -> Cell:
    return Cell.of("2026-11-25", None, names, usage, facts)


@pytest.mark.parametrize(
    ("model", "count", "told_of"),
    [
        ("openai/gpt-4.1-nano", 12, (Kind.CASCADE, MINI)),
        ("openai/gpt-4.1-mini", 300, (Kind.RIGHT_SIZING, "openai/gpt-4.1-mini")),
    ],
    ids=["tried too seldom", "as good"],
)
def test_no_task_is_told_of_two_models(model: str, count: int, told_of: tuple[Kind, str]):
    some = random.Random(1)
    calls = [
        *answers(300, GPT4O, 0.01, some),
        *answers(300, MINI, 0.25, some),
        *answers(count, model, 0.0, some),
    ]
    of_dear = [each for each in targets(calls) if each.model == GPT4O]
    told = [each for each in of_dear if each.kind in (Kind.RIGHT_SIZING, Kind.CASCADE)]
    assert [(each.kind, each.to) for each in told] == [told_of]

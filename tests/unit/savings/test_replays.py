"""Each kind of recommendation, replayed: the calls it is about are made again, changed, and billed.

What is saved then lies in the range that was promised.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from core.costs.savings.recommendation import Kind, Money, Recommendation, Target
from tests.unit.savings.replay import (
    NOON,
    Made,
    alone,
    cost,
    flows,
    keeps,
    kinds,
    promised,
    record_of,
    recorded,
    replayed,
    savings_of,
    text,
    trace,
)

SONNET, HAIKU = "anthropic/claude-sonnet-4-5", "anthropic/claude-haiku-4-5"
GPT5, GPT4O, MINI = "openai/gpt-5", "openai/gpt-4o", "openai/gpt-4o-mini"
GEMINI = "gemini/gemini-2.5-pro"
HOUR_MS = 3_600_000


def spread(calls: Sequence[Made], gap_ms: int) -> list[Made]:
    """The same calls, each flow so long after the one before."""
    first = {call.flow: call.at_ms for call in reversed(calls)}
    return [replace(each, at_ms=NOON + each.flow * gap_ms + each.at_ms - first[each.flow]) for each in calls]  # fmt: skip


@pytest.mark.parametrize(
    ("calls", "to"),
    [
        (flows(300, 1, SONNET), "instructions:5m"),
        (flows(200, 5, SONNET), "prompt:5m"),
        (spread(flows(120, 1, SONNET, system=4000), 20 * 60_000)[:90], "instructions:1h"),
    ],
    ids=["one question after another", "an agent and its tools", "three an hour"],
)
def test_prompt_caching_saves_what_it_promises_net_of_its_writes(calls: list[Made], to: str):
    found = alone(calls, Kind.PROMPT_CACHING)
    keep, time = found.target.to.split(":")
    assert found.target.to == to
    saved = replayed(calls, lambda call: replace(call, cache=keep, time=time))
    assert keeps(found, saved)
    assert found.money.saved == pytest.approx(saved, rel=0.05)
    assert found.verified


@pytest.mark.parametrize("workers", [2, 8])
def test_what_several_workers_see_of_repeats_is_never_more_than_there_is(workers: int):
    calls = flows(400, 3, SONNET)
    found = alone(calls, Kind.PROMPT_CACHING, workers)
    keep, time = found.target.to.split(":")
    saved = replayed(calls, lambda call: replace(call, cache=keep, time=time))
    assert 0 < found.money.saved <= saved
    same = [*calls, *[replace(each, at_ms=each.at_ms + HOUR_MS, flow=each.flow + 1) for each in calls]]  # fmt: skip
    told = [e for e in promised_by(same, workers) if e.target.kind is Kind.DUPLICATE_CALLS]
    assert sum(each.money.saved for each in told) <= cost(calls)


def promised_by(calls: Sequence[Made], workers: int) -> list[Recommendation]:
    return savings_of(record_of(recorded(calls, workers))).recommendations


def test_a_cache_that_is_used_already_is_not_recommended_again():
    calls = [replace(call, cache="prompt") for call in flows(200, 5, SONNET)]
    assert {Kind.PROMPT_CACHING, Kind.UNREAD_CACHE_WRITES}.isdisjoint(kinds(promised(calls)))


def test_cache_writes_that_nothing_reads_are_saved_by_not_writing():
    calls = spread(flows(100, 1, SONNET, cache="prompt"), 2 * HOUR_MS)
    found = alone(calls, Kind.UNREAD_CACHE_WRITES)
    saved = replayed(calls, lambda call: replace(call, cache=""))
    assert keeps(found, saved)
    assert found.money.saved == pytest.approx(saved, rel=0.001)
    assert found.evidence["writes_never_read"] == 99
    assert Kind.PROMPT_CACHING not in kinds(promised(calls))


def test_a_provider_that_caches_by_itself_is_taken_to_do_so_for_minutes_and_had_its_chance():
    often, seldom = flows(100, 3, GPT5), spread(flows(40, 1, GPT5), 20 * 60_000)
    found = alone(often, Kind.PROMPT_CACHING)
    assert (found.target.to, found.verified, found.money.low) == ("prompt:5m", False, 0)
    assert keeps(found, replayed(often, lambda call: replace(call, cache="prompt")))
    assert Kind.PROMPT_CACHING not in kinds(promised(seldom))


def test_a_cache_that_keeps_too_much_is_told_to_keep_the_instructions_only():
    asked = spread(flows(100, 1, SONNET, system=1500, cache="prompt"), 60_000)
    calls = [replace(each, messages=[each.messages[0], ("user", text(9_000, "long", each.flow))]) for each in asked]  # fmt: skip
    assert cost(calls) > cost(replace(call, cache="") for call in calls)
    told = targets(calls)
    assert Kind.UNREAD_CACHE_WRITES not in [each.kind for each in told]
    assert tuple(e.to for e in told if e.kind is Kind.PROMPT_CACHING) == ("instructions:5m",)
    found = alone(calls, Kind.PROMPT_CACHING)
    assert keeps(found, replayed(calls, lambda call: replace(call, cache="instructions")))


@pytest.mark.parametrize(("model", "variant"), [(GPT5, "flex"), (GPT4O, "batch")])
def test_calls_that_nobody_waits_for_cost_less_as_batch_or_flex(model: str, variant: str):
    calls = [replace(call, late=call.flow % 3 == 0) for call in flows(300, 1, model, system=100)]
    found = alone(calls, Kind.BATCH_OR_FLEX)
    assert found.target.to == variant
    saved = replayed(calls, lambda call: replace(call, variant=variant) if call.late else call)
    assert keeps(found, saved)
    assert found.money.saved == pytest.approx(saved, rel=0.001)


def test_an_agent_that_asks_tools_is_not_told_to_wait_a_day_for_each_round():
    rounds = [flows(100, 4, model, late=True) for model in (GPT4O, GPT5)]
    told = [each for calls in rounds for each in targets(calls) if each.kind is Kind.BATCH_OR_FLEX]
    assert [(each.model, each.to) for each in told] == [(GPT5, "flex")]


def test_answers_that_ran_on_are_capped_and_none_of_use_is_cut():
    calls = [
        replace(call, output=16_000, cut=True, reasoning=0) if call.flow % 20 == 0 else call
        for call in flows(400, 1, GPT4O, system=100)
    ]
    found = alone(calls, Kind.OUTPUT_CAP)
    cap = int(found.target.to)
    longest = max(call.output for call in calls if not call.cut)
    assert cap / 2 < longest <= cap
    assert keeps(found, replayed(calls, lambda call: replace(call, output=min(call.output, cap))))
    assert keeps(found, replayed(calls, lambda call: replace(call, output=min(call.output, longest))))  # fmt: skip


def test_prompts_in_a_dearer_tier_are_split_or_shortened():
    calls = [
        Made(
            each.at_ms, [("user", text(150_000 + 40 * each.input, n))], each.output, GEMINI, flow=n
        )
        for n, each in enumerate(trace()[:100])
    ]
    assert 0 < sum(call.input > 200_000 for call in calls) < 100
    found = alone(calls, Kind.TIER_AVOIDANCE)

    def shortened(call: Made) -> Made:
        return replace(call, messages=[("user", text(min(call.input, 200_000), call.flow))])

    def split(call: Made) -> list[Made]:
        if call.input <= 200_000:
            return [call]
        rest = text(call.input - 200_000, "rest", call.flow)
        return [shortened(call), replace(call, messages=[("user", rest)], output=0)]

    assert keeps(found, replayed(calls, shortened))
    assert keeps(found, cost(calls) - cost(part for call in calls for part in split(call)))
    assert not found.verified


def test_an_agents_earlier_rounds_are_not_sent_again():
    calls = flows(150, 6, GPT4O, system=100)
    found = alone(calls, Kind.CONTEXT_REDUCTION)

    def last_round(call: Made) -> Made:
        return replace(call, messages=[*call.messages[:2], *call.messages[2:][-2:]])

    saved = replayed(calls, last_round)
    assert keeps(found, saved)
    assert found.money.saved == pytest.approx(saved, rel=0.05)


def test_what_was_asked_before_is_not_asked_again():
    once = flows(200, 1, MINI, system=100)
    again = [
        replace(call, at_ms=call.at_ms + HOUR_MS, flow=call.flow + 1000) for call in once if call.flow % 4 == 0
    ]  # fmt: skip
    calls = [*once, *again] * 1
    found = alone([*calls, *_many(calls)], Kind.DUPLICATE_CALLS)
    saved = cost([*calls, *_many(calls)]) - cost(once)
    assert keeps(found, saved)
    assert found.money.saved == pytest.approx(saved, rel=0.001)


def _many(calls: Sequence[Made]) -> list[Made]:
    """The same calls on the day after."""
    return [replace(each, at_ms=each.at_ms + 12 * HOUR_MS, flow=each.flow + 5000) for each in calls]


def test_tries_that_fail_would_not_have_been_paid_for():
    calls = list[Made]()
    for call in flows(300, 1, GPT4O, system=100, checked=True):
        calls.append(call)
        why = {0: "answer_refused", 1: "step_failed", 2: "model_call_repeated"}.get(call.flow % 10)
        if why:
            calls.append(replace(call, at_ms=call.at_ms + 1, before=why))
    found = alone(calls, Kind.FAILED_CALLS)
    saved = replayed(calls, lambda call: None if call.before else call)
    assert keeps(found, saved)
    assert found.money.saved == pytest.approx(saved, rel=0.001)


def test_what_a_cap_saves_on_answers_in_vain_is_not_saved_again_by_mending_them():
    calls = list[Made]()
    for call in flows(100, 1, "openai/gpt-5-nano", system=100):
        if call.flow % 10 == 0:
            calls.append(replace(call, output=16_000, cut=True))
        again = "model_call_repeated" if call.flow % 10 == 0 else None
        calls.append(replace(call, at_ms=call.at_ms + 1, before=again))
    found = promised(calls)
    both = [each for each in found.recommendations if each.target.kind in (Kind.OUTPUT_CAP, Kind.FAILED_CALLS)]  # fmt: skip
    assert len(both) == 2
    in_vain = cost(call for call in calls if call.cut)
    assert sum(each.money.saved for each in both) == pytest.approx(in_vain, rel=0.001)


def test_less_reasoning_where_less_is_recorded_to_do():
    some = random.Random(7)
    share = {"high": 8, "low": 2}

    def with_effort(call: Made, effort: str) -> Made:
        thought = call.output * share[effort] * some.randrange(80, 120) // 100
        return replace(call, effort=effort, reasoning=thought, output=call.output + thought, checked=True)  # fmt: skip

    answers = flows(600, 1, GPT5, system=100)
    calls = [with_effort(call, "low" if call.flow % 2 else "high") for call in answers]
    days = [replace(call, at_ms=call.at_ms + call.flow % 5 * 24 * HOUR_MS - 60 * HOUR_MS) for call in calls]  # fmt: skip
    found = alone(days, Kind.REASONING_EFFORT)
    plain = {call.flow: call for call in answers}
    saved = replayed(days, lambda c: c if c.effort == "low" else replace(with_effort(plain[c.flow], "low"), at_ms=c.at_ms))  # fmt: skip
    assert found.target.to == "low"
    assert keeps(found, saved)
    assert found.money.saved == pytest.approx(saved, rel=0.03)
    assert found.verified


def targets(calls: Sequence[Made]) -> list[Target]:
    return [each.target for each in promised(calls).recommendations]


def test_where_nothing_can_be_saved_nothing_is_recommended():
    calls = [
        Made(each.at_ms, [("user", text(min(each.input, 900), n))], each.output, "openai/gpt-5-nano", flow=n)
        for n, each in enumerate(trace()[:500])
    ]  # fmt: skip
    found = promised(calls)
    assert (found.recommendations, found.total) == ([], Money(0, 0, 0))
    assert found.considered == cost(calls)


@pytest.mark.parametrize("model", ["crewline/offline", "openai/nobody-knows-this", "ollama/llama3"])
def test_what_costs_nobody_money_saves_none(model: str):
    calls = [replace(call, model=model, cut=False) for call in flows(50, 4, GPT4O)]
    found = promised([*calls, *calls])
    assert (found.recommendations, found.considered) == ([], 0)


def test_all_of_them_together_save_what_the_total_says():
    """Each is counted on what the ones before it leave: repeats first, then the cache, then batches."""
    once = flows(400, 1, SONNET, late=True)
    again = [
        replace(call, at_ms=call.at_ms + HOUR_MS * 2, flow=call.flow + 1000) for call in once[:400]
    ]
    calls = [*once, *again]
    found = promised(calls)
    assert {Kind.DUPLICATE_CALLS, Kind.PROMPT_CACHING, Kind.BATCH_OR_FLEX} < set(kinds(found))

    cached = {
        each.target.to for each in found.recommendations if each.target.kind is Kind.PROMPT_CACHING
    }
    keep, time = cached.pop().split(":")
    changed = [replace(call, cache=keep, time=time, variant="batch") for call in once]
    smaller = [replace(call, model=HAIKU) for call in changed]
    assert Kind.RIGHT_SIZING in kinds(found)
    saved = cost(calls) - cost(smaller)
    assert found.total.low <= saved <= found.total.high <= found.considered == cost(calls)
    assert found.total.saved == pytest.approx(saved, rel=0.02)
    by_itself = sum(alone(calls, kind).money.saved for kind in kinds(found))
    assert by_itself > found.total.saved

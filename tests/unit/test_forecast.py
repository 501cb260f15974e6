"""Forecasts are as wrong as they say, and unusual days are the ones a person would point at."""

import random
from collections.abc import Mapping
from datetime import date, timedelta

import pytest

from core.costs.forecast import Forecast, forecast, is_weekend, whole_days
from core.costs.unusual import Unusual, Watch

FIRST = date(2026, 9, 1)
DOLLAR = 10**9


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def season(draw: random.Random, days: int) -> dict[date, int]:
    """Costs that vary by a third, with weekends at a quarter, as businesses have them."""
    return {
        day(n): round(DOLLAR * draw.lognormvariate(0, 0.3) * (0.25 if is_weekend(day(n)) else 1))
        for n in range(days)
    }


def test_the_interval_holds_about_nine_of_ten_months():
    draw, held, months = random.Random(4), 0, 1_000
    for _ in range(months):
        costs = season(draw, 60)
        known = {d: cost for d, cost in costs.items() if d < day(40)}
        told = forecast(known, day(40), day(30), day(59))
        assert told is not None
        spent = sum(costs[day(n)] for n in range(30, 60))
        held += told.low <= spent <= told.high
    print(f"{held} of {months} months within the interval")
    assert 0.85 <= held / months <= 0.95


def test_weekends_are_told_from_working_days():
    costs = {day(n): DOLLAR // 4 if is_weekend(day(n)) else DOLLAR for n in range(28)}
    told = forecast(costs, day(28), day(28), day(34))
    assert told == Forecast(*[5 * DOLLAR + DOLLAR // 2] * 3)


def test_what_is_left_of_today_counts_by_its_share():
    costs = {day(n): DOLLAR for n in range(10)} | {day(10): DOLLAR // 2}
    told = forecast(costs, day(10), day(10), day(11), share_of_today=0.5)
    assert told == Forecast(2 * DOLLAR, 2 * DOLLAR, 2 * DOLLAR)


def test_a_window_that_is_over_costs_what_it_cost():
    costs = {day(n): DOLLAR for n in range(10)}
    assert forecast(costs, day(10), day(0), day(4)) == Forecast(*[5 * DOLLAR] * 3)


def test_days_without_costs_between_others_count():
    costs = {day(n): DOLLAR for n in range(0, 28, 2)}
    told = forecast(costs, day(28), day(28), day(37))
    assert told is not None
    assert 3 * DOLLAR < told.nanodollars < 7 * DOLLAR


@pytest.mark.parametrize("days", [0, 1, 2])
def test_from_a_day_or_two_nothing_is_foretold(days: int):
    assert forecast({day(n): DOLLAR for n in range(days)}, day(days), FIRST, day(29)) is None


def test_a_day_that_cost_ten_times_as_much_is_unusual_and_its_reason_is_told():
    costs = season(random.Random(5), 40)
    costs[day(30)] += 12 * DOLLAR
    parts = {d: {"brief": cost // 2, "mapping": cost // 2} for d, cost in costs.items()}
    parts[day(30)] = {"brief": DOLLAR // 2, "mapping": costs[day(30)] - DOLLAR // 2}
    (found,) = unusual_days(costs, parts, day(40))
    assert (found.day, found.part) == (day(30), "mapping")
    assert found.part_nanodollars > 10 * found.part_usual > 0


def test_an_unusual_day_hides_no_later_one():
    costs = {day(n): DOLLAR + n for n in range(30)} | {day(20): 20 * DOLLAR, day(24): 9 * DOLLAR}
    assert [found.day for found in unusual_days(costs, {}, day(30))] == [day(20), day(24)]


def test_growth_and_cheap_days_are_not_unusual():
    grows = {day(n): round(DOLLAR * 1.02**n) for n in range(60)}
    assert unusual_days(grows, {}, day(60)) == []
    assert unusual_days({**grows, day(50): 1}, {}, day(60)) == []


def test_ordinary_seasons_have_next_to_no_unusual_days():
    draw = random.Random(6)
    found = sum(len(unusual_days(season(draw, 90), {}, day(90))) for _ in range(50))
    print(f"{found} of {50 * 90} ordinary days called unusual")
    assert found < 50 * 90 * 0.01


def test_a_first_week_has_nothing_to_be_compared_with():
    costs = {day(n): DOLLAR for n in range(6)} | {day(6): 100 * DOLLAR}
    assert unusual_days(costs, {}, day(7)) == []


def test_a_day_that_nobody_parted_is_told_without_a_part():
    costs = {day(n): DOLLAR for n in range(20)} | {day(20): 5 * DOLLAR}
    assert unusual_days(costs, {}, day(21)) == [Unusual(day(20), 5 * DOLLAR, DOLLAR)]


def unusual_days(
    costs: Mapping[date, int], parts: Mapping[date, Mapping[str, int]], today: date
) -> list[Unusual]:
    """Return the unusual days before today, in order.

    `costs` are nano-dollars by day; `parts` the same, parted by one dimension, e.g. by crew.
    """
    watch = Watch()
    for day, cost in whole_days(costs, today):
        watch.see(day, cost, parts.get(day, {}))
    return watch.found()

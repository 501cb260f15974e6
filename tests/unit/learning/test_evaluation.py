"""The evaluation of candidates, and learning within a time limit."""

import math
from collections.abc import Sequence

import pytest

from core.learning import time_limit
from core.learning.evaluation import is_worse
from core.learning.feedback import Entry
from core.learning.learner import Learner
from core.learning.time_limit import TimeLimit


def test_a_candidate_is_refused_where_it_is_worse_by_more_than_chance():
    same = [True, False] * 50
    assert not is_worse(same, same)
    assert not is_worse([True] * 10, [False] * 10)
    assert is_worse([False] * 10, [True] * 10)
    assert not is_worse([False, True] * 50, [True, False] * 50)
    assert not is_worse([], [])
    assert is_worse([True] * 90 + [False] * 10, [True] * 100)


class Ticking:
    """A clock that a learner's work moves: each chunk takes a second for 100 feedbacks."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_there_is_no_time_for_is_the_oldest_and_is_counted(monkeypatch: pytest.MonkeyPatch):
    clock, taken = Ticking(), list[int]()

    def slowly(_: Learner, entries: Sequence[Entry]) -> int:
        taken.extend(one.number for one in entries)
        clock.now += len(entries) / 100
        return 0

    monkeypatch.setattr(time_limit, "learn", slowly)
    entries = [Entry(n, None) for n in range(10_000)]
    left_out = TimeLimit(50.0, clock).learn(Learner(), entries)
    assert left_out == 10_000 - len(taken)
    assert 4_800 <= len(taken) <= 5_200
    assert taken[-4_000:] == list(range(6_000, 10_000))
    assert clock.now <= 52


def test_nothing_is_left_out_for_a_pace_that_is_slow_at_the_start_only(
    monkeypatch: pytest.MonkeyPatch,
):
    clock, taken = Ticking(), 0

    def ever_sooner(_: Learner, entries: Sequence[Entry]) -> int:
        nonlocal taken
        clock.now += len(entries) * (0.0011 - 0.0002 * taken / 600_000)
        taken += len(entries)
        return 0

    monkeypatch.setattr(time_limit, "learn", ever_sooner)
    entries = [Entry(1, None)] * 600_000
    assert TimeLimit(605.0, clock).learn(Learner(), entries) == 0
    assert (taken, clock.now < 605) == (600_000, True)


@pytest.mark.parametrize("each", [0.00101, 0.00105, 0.0012])
def test_where_the_pace_gets_no_better_learning_ends_in_time_all_the_same(
    monkeypatch: pytest.MonkeyPatch, each: float
):
    clock, taken = Ticking(), 0

    def steadily(_: Learner, entries: Sequence[Entry]) -> int:
        nonlocal taken
        clock.now += len(entries) * each
        taken += len(entries)
        return 0

    monkeypatch.setattr(time_limit, "learn", steadily)
    left_out = TimeLimit(600.0, clock).learn(Learner(), [Entry(1, None)] * 600_000)
    assert taken + left_out == 600_000
    assert clock.now == pytest.approx(600, abs=2)


def test_where_there_is_time_nothing_is_left_out():
    entries = [Entry(n, None) for n in range(450)]
    assert TimeLimit(math.inf).learn(Learner(), entries) == 0

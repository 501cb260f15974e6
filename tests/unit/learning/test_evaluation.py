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


def test_where_there_is_time_nothing_is_left_out():
    entries = [Entry(n, None) for n in range(450)]
    assert TimeLimit(math.inf).learn(Learner(), entries) == 0

"""Concepts: what contexts have in common, apart from the action that is right for them now.

The experts tell concepts from each other; a table says which action each concept stands for. Where people
begin to do something else in the same situations (drift), one entry of the table changes, and
nothing has to be unlearnt. When it does is decided by Page's test (CUSUM, 1954) for each
concept: of the feedback on what was taken for it, does another action now have most?

What a feedback says for a move is how much likelier it is after one than without. That is little where the
context may be of another concept, where the action was likely anyway, and where it is what wrong feedback names.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.learning import checks
from core.learning.learner.linear import Floats

MOVED_SHARE = 0.8  # of the feedback that another action has once a concept has moved
USUAL_SHARE = 0.05  # that any action has at least where nothing has moved: answers err
MOST_SHARE = 0.95  # that it has at most
THRESHOLD = math.log(1000)  # how much likelier a move must be: three feedbacks at least
SEVERAL = 2  # sources
NONE = -1


@dataclass(slots=True)
class _Run:
    """The feedback that speaks for a move to one action, and which sources gave it."""

    total: float = 0.0  # Page's sum
    sources: Counter[str] = field(default_factory=Counter[str])


@dataclass(slots=True)
class _Watch:
    """The feedback on what was taken for one concept."""

    sources: set[str] = field(default_factory=set[str])  # who gave any, two of them at most
    runs: dict[str, _Run] = field(default_factory=dict[str, _Run])

    @classmethod
    def of(cls, state: dict[str, Any]) -> "_Watch":
        runs = {name: _Run(one[0], Counter(one[1])) for name, one in state["runs"].items()}
        return cls(set(state["sources"]), runs)

    def state(self) -> dict[str, Any]:
        runs = {name: [run.total, dict(run.sources)] for name, run in self.runs.items()}
        return {"sources": sorted(self.sources), "runs": runs}

    def see(
        self, action: str, source: str, stands_for: str | None, sure: float, expected: float
    ) -> bool:
        """Take a feedback; return whether the concept has moved to this action.

        Where several sources taught a concept, it takes more than one of them to move it.
        """
        if len(self.sources) < SEVERAL:
            self.sources.add(source)
        if action != stands_for:
            self.runs.setdefault(action, _Run())
        after = MOVED_SHARE * sure  # of a move, this action's share
        hit, miss = _evidence(after, expected), _evidence(1 - after, 1 - USUAL_SHARE)
        for name, run in self.runs.items():
            run.total += self._hit(run, source, max(0.0, hit)) if name == action else min(0.0, miss)
        self.runs = {name: run for name, run in self.runs.items() if run.total > 0}
        run = self.runs.get(action, _Run())
        return run.total >= THRESHOLD and len(run.sources) >= min(SEVERAL, len(self.sources))

    def _hit(self, run: _Run, source: str, evidence: float) -> float:
        """Return what a feedback says for a move.

        What one source of several says again in a run counts a half, a third, ...: somebody's mistakes
        are often of one kind, and made together.
        """
        run.sources[source] += 1
        return evidence / run.sources[source] if len(self.sources) >= SEVERAL else evidence


def _evidence(after: float, without: float) -> float:
    """Return how much likelier something is after a move than without one, as a logarithm."""
    return math.log(max(after, 1e-9) / min(max(without, USUAL_SHARE), MOST_SHARE))


class Concepts:
    """The table from concept to action. Concept 0 is of what is not known, and has none.

    `runs` are what `runs()` returned: what speaks so far for a move of each concept.
    """

    def __init__(self, actions: Sequence[str] = (), runs: Sequence[dict[str, Any]] = ()) -> None:
        self.actions: list[str] = []  # by number, each once
        self._numbers: dict[str, int] = {}
        self._action_of = [NONE]
        self._concepts_of: list[list[int]] = []  # by number of the action
        self._watches = [_Watch()]
        for action in actions:
            self.add(action)
        for concept, run in enumerate(runs, 1):
            self._watches[concept] = _Watch.of(run)

    def __len__(self) -> int:
        """How many concepts there are, concept 0 with them."""
        return len(self._action_of)

    @property
    def table(self) -> tuple[str, ...]:
        """The actions of concepts 1, 2, and so on."""
        return tuple(self.actions[number] for number in self._action_of[1:])

    def runs(self) -> list[dict[str, Any]]:
        """Return as JSON what speaks for a move of concepts 1, 2, and so on."""
        return [watch.state() for watch in self._watches[1:]]

    def action(self, concept: int) -> str | None:
        """Return what a concept stands for."""
        number = self._action_of[concept]
        return None if number == NONE else self.actions[number]

    def of(self, action: str) -> list[int]:
        """Return the concepts that stand for an action."""
        number = self._numbers.get(action)
        return [] if number is None else self._concepts_of[number]

    def by_action(self, shares: Floats) -> Floats:
        """Return shares of concepts as shares of `actions`."""
        return np.bincount(self._action_of[1:], shares[1:], len(self.actions)).astype(np.float32)

    def add(self, action: str) -> int:
        """Begin a concept."""
        self._action_of.append(self._number(action))
        self._concepts_of[self._action_of[-1]].append(len(self) - 1)
        self._watches.append(_Watch())
        return len(self) - 1

    def observe(
        self, taken_for: int, action: str, source: str, sure: float = 1.0, expected: float = 0.0
    ) -> bool:
        """Take a source's feedback on what was taken for a concept; return whether that has moved.

        `sure` is how likely the context is of that concept, `expected` how likely this feedback was if nothing
        has moved.
        """
        watch, stands_for = self._watches[taken_for], self.action(taken_for)
        if taken_for == 0 or not watch.see(action, source, stands_for, sure, expected):
            return False
        self._concepts_of[self._action_of[taken_for]].remove(taken_for)
        self._action_of[taken_for] = self._number(action)
        self._concepts_of[self._action_of[taken_for]].append(taken_for)
        self._watches[taken_for] = _Watch(sources=watch.sources)
        return True

    def _number(self, action: str) -> int:
        if action not in self._numbers:
            self._numbers[action] = len(self.actions)
            self.actions.append(action)
            self._concepts_of.append([])
        return self._numbers[action]


def check_runs(runs: Any, concepts: int) -> None:
    """Raise ValueError for what `Concepts.runs` cannot have returned."""
    checks.need(isinstance(runs, list) and len(checks.items(runs)) in (0, concepts))
    for watch in checks.items(runs):
        checks.members(watch, {"sources", "runs"})
        checks.need(len(checks.texts(watch["sources"])) <= SEVERAL)
        for run in checks.by_text(watch["runs"]).values():
            checks.need(len(checks.items(run)) == 2)  # noqa: PLR2004  # total and sources
            checks.numbers([run[0], *checks.by_text(run[1]).values()])

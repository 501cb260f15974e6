"""Concepts: what contexts have in common, apart from the action that is right for them now.

The experts tell concepts from each other; a table says which action each concept stands for. Where people
begin to do something else in the same situations (drift), one entry of the table changes, and
nothing has to be unlearnt. When it does is decided by Page's test (CUSUM, 1954) for each
concept: of the feedback on what was taken for it, does another action now have most?
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.learning.linear import Floats

MOVED_SHARE = 0.8  # of the feedback that another action has once a concept has moved
THRESHOLD = math.log(10_000)  # how much likelier that has to be than what was usual
PRIOR = 10.0  # feedbacks before the first, by which shares are smoothed
NONE = -1
SEVERAL = 2  # sources
HALVED = 200  # counted feedbacks, after which they are halved: what was usual may change slowly


@dataclass(slots=True)
class _Watch:
    """The feedback on what was taken for one concept."""

    counts: Counter[str] = field(default_factory=Counter[str])
    sums: dict[str, float] = field(default_factory=dict[str, float])  # Page's, of each action
    sources: set[str] = field(default_factory=set[str])  # who said anything, two of them at most
    movers: dict[str, set[str]] = field(default_factory=dict[str, set[str]])  # who said that

    def see(self, action: str, source: str) -> bool:
        """Take a feedback; return whether the concept has moved to this action.

        Where several sources taught a concept, it takes more than one of them to move it.
        """
        self.sums = {name: total for name in self.sums if (total := self._after(name, action)) > 0}
        if action not in self.sums and (total := self._after(action, action)) > 0:
            self.sums[action], self.movers[action] = total, set()
        self.movers = {name: self.movers[name] for name in self.sums}
        self._count(action, source)
        return self.sums.get(action, 0) >= THRESHOLD and self._agreed(action)

    def _after(self, name: str, action: str) -> float:
        """Return the sum of an action after a feedback for this or another one."""
        usual = min((self.counts[name] + 1) / (self.counts.total() + PRIOR), MOVED_SHARE)
        moved, was = (MOVED_SHARE, usual) if name == action else (1 - MOVED_SHARE, 1 - usual)
        return self.sums.get(name, 0.0) + math.log(moved / was)

    def _count(self, action: str, source: str) -> None:
        self.counts[action] += 1
        for seen in (self.sources, self.movers.get(action, set())):
            if len(seen) < SEVERAL:
                seen.add(source)
        if self.counts.total() >= HALVED:
            self.counts = Counter({name: n // 2 for name, n in self.counts.items() if n > 1})

    def _agreed(self, action: str) -> bool:
        return len(self.movers[action]) >= min(SEVERAL, len(self.sources))


class Concepts:
    """The table from concept to action. Concept 0 is of what is not known, and has none."""

    def __init__(self, actions: Sequence[str] = ()) -> None:
        self.actions: list[str] = []  # by number, each once
        self._numbers: dict[str, int] = {}
        self._action_of = [NONE]
        self._watches = [_Watch()]
        for action in actions:
            self.add(action)

    def __len__(self) -> int:
        """How many concepts there are, concept 0 with them."""
        return len(self._action_of)

    @property
    def table(self) -> tuple[str, ...]:
        """The actions of concepts 1, 2, and so on."""
        return tuple(self.actions[number] for number in self._action_of[1:])

    def action(self, concept: int) -> str | None:
        """Return what a concept stands for."""
        number = self._action_of[concept]
        return None if number == NONE else self.actions[number]

    def of(self, action: str) -> list[int]:
        """Return the concepts that stand for an action."""
        number = self._numbers.get(action)
        return [] if number is None else [c for c, n in enumerate(self._action_of) if n == number]

    def by_action(self, shares: Floats) -> Floats:
        """Return shares of concepts as shares of `actions`."""
        return np.bincount(self._action_of[1:], shares[1:], len(self.actions)).astype(np.float32)

    def add(self, action: str) -> int:
        """Begin a concept."""
        self._action_of.append(self._number(action))
        self._watches.append(_Watch())
        return len(self) - 1

    def observe(self, taken_for: int, action: str, source: str) -> bool:
        """Take a source's feedback on what was taken for a concept; return whether that has moved."""
        if taken_for == 0 or not self._watches[taken_for].see(action, source):
            return False
        moved = self.action(taken_for) != action
        self._action_of[taken_for] = self._number(action)
        self._watches[taken_for] = _Watch()
        return moved

    def _number(self, action: str) -> int:
        if action not in self._numbers:
            self._numbers[action] = len(self.actions)
            self.actions.append(action)
        return self._numbers[action]

"""Trust: who contradicts far more than others do, and what most contradictions name, counts little.

Learning needs feedback that contradicts its answers. But a source most of whose feedback does, where
the others' does not, is wrong or wants harm; so does somebody who has more than half of the latest
contradictions name one action, far more than its share of what agrees with answers. What so contradicts counts
little. On the very same context it holds all the same (`Memory.said`).

Others' record fades, so a source that is alone is believed, at once or after some thousand feedbacks.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

from core.learning import checks

DOUBTED = 0.02  # weight of a feedback that is not believed
LEAST = 20  # feedbacks of a source, contradictions of all, before anything is doubted
OTHERS = 50  # feedbacks of others, to compare with
MOST = 0.5  # of a source's feedback, of the latest contradictions
LIFT = 2.0  # times what is usual
WINDOW = 100  # contradictions that are looked at
FADES, FADED = 500, 0.8  # after so many feedbacks earlier ones count so much


@dataclass(slots=True)
class _Record:
    """How often somebody said something, and contradicted an answer with it."""

    said: float = 0.0
    contradicted: float = 0.0

    def add(self, said: float, contradicted: float) -> None:
        self.said += said
        self.contradicted += contradicted

    def numbers(self) -> list[float]:
        return [self.said, self.contradicted]

    @property
    def rate(self) -> float:
        return self.contradicted / self.said if self.said > 0 else 0.0


class Trust:
    """The record of each source, and the actions that contradicted of late.

    `state` is what `state()` returned, of this learner or one before it; {} begins anew.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        state = state or {}
        self._all = _Record(*state.get("all", ()))
        self._records = {name: _Record(*one) for name, one in state.get("sources", {}).items()}
        self._until_fading: int = state.get("until_fading", FADES)
        self._contradicting: deque[str] = deque(state.get("contradicting", ()), WINDOW)
        self._agreeing: deque[str] = deque(state.get("given", ()), 5 * WINDOW)

    def state(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {
            "all": self._all.numbers(),
            "sources": {name: one.numbers() for name, one in self._records.items()},
            "until_fading": self._until_fading,
            "contradicting": list(self._contradicting),
            "given": list(self._agreeing),
        }

    def weigh(self, source: str, action: str, *, contradicts: bool) -> float:
        """Take a feedback; return the factor of its weight, 1 where it is believed."""
        self._fade()
        for record in (self._all, self._records.setdefault(source, _Record())):
            record.add(1, contradicts)
        if not contradicts:
            self._agreeing.append(action)
            return 1.0
        self._contradicting.append(action)
        doubted = self._contradicts_alone(source) or self._stands_out(action)
        return DOUBTED if doubted else 1.0

    def _contradicts_alone(self, source: str) -> bool:
        """Return whether a source contradicts far more than the others do."""
        own = self._records[source]
        others = _Record(self._all.said - own.said, self._all.contradicted - own.contradicted)
        if own.said < LEAST or others.said < OTHERS:
            return False
        return own.rate > max(MOST, LIFT * others.rate)

    def usual(self, action: str) -> float:
        """Return how much of all feedback of late contradicts an answer and names this action."""
        return self._share(self._contradicting, action) * self._all.rate

    def _stands_out(self, action: str) -> bool:
        """Return whether an action has far more of the contradictions than of what agrees."""
        if len(self._contradicting) < LEAST:
            return False
        usual = self._share(self._agreeing, action)
        return self._share(self._contradicting, action) > max(MOST, LIFT * usual)

    @staticmethod
    def _share(actions: deque[str], action: str) -> float:
        return actions.count(action) / len(actions) if actions else 0.0

    def _fade(self) -> None:
        self._until_fading -= 1
        if self._until_fading > 0:
            return
        self._until_fading = FADES
        for record in (self._all, *self._records.values()):
            record.add((FADED - 1) * record.said, (FADED - 1) * record.contradicted)
        self._records = {name: one for name, one in self._records.items() if one.said > FADED**4}


def check_state(state: Any) -> None:
    """Raise ValueError for what `Trust.state` cannot have returned; {} is no record at all."""
    if state == {}:
        return
    checks.members(state, {"all", "sources", "until_fading", "contradicting", "given"})
    for record in (state["all"], *checks.by_text(state["sources"]).values()):
        checks.numbers(record, 2)
    checks.need(type(state["until_fading"]) is int and 0 <= state["until_fading"] <= FADES)
    for name, most in (("contradicting", WINDOW), ("given", 5 * WINDOW)):
        checks.need(len(checks.texts(state[name])) <= most)

"""What a learner answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An action, how often such an answer was right (0 to 1), and the patterns that speak for it."""

    action: str
    confidence: float
    patterns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The best actions, best first; `abstain` where the first is less sure than was asked."""

    actions: tuple[Suggestion, ...]
    abstain: bool
    version: int

"""Advice on decisions that are about to be made: what a learner answers to questions, all candidates of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.learning.patterns import Kind

if TYPE_CHECKING:  # it loads numpy
    from core.learning.learner import Learner, Suggestion


@dataclass(frozen=True, slots=True)
class Question:
    """A decision to be made: what is known, and the actions there are."""

    context: Mapping[str, Any]
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """All candidates, best first, and the weightiest who said what speaks most for the best one.

    Without actions nothing was learnt; without `said_by` no pattern speaks for the best. `said` is the
    number of the pattern in which somebody, and no agent, said the best one of exactly this context.
    """

    actions: "tuple[Suggestion, ...]" = ()
    said_by: Kind | None = None
    said: int | None = None


NOTHING_LEARNT = Advice()


def answered(learner: "Learner", questions: Sequence[Question]) -> list[Advice]:
    """Return what a learner answers."""
    return [_answer(learner, each) for each in questions]


def _answer(learner: "Learner", asked: Question) -> Advice:
    found = learner.recommend(asked.context, asked.candidates, most=len(asked.candidates))
    patterns = found.actions[0].patterns if found.actions else ()
    said_by = learner.weightiest(patterns[0]).source.kind if patterns else None
    return Advice(found.actions, said_by, _said(learner, asked, found.actions))


def _said(learner: "Learner", asked: Question, actions: "tuple[Suggestion, ...]") -> int | None:
    """Return the pattern in which a person or an outcome named the best action of this very context."""
    word = learner.said(asked.context)
    if word is None or word.source.kind is Kind.AGENT or not actions:
        return None
    return word.number if word.action == actions[0].action else None

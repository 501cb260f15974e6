"""The learner: what one task of one tenant has learnt; it answers, and takes feedback.

A linear expert and naive Bayes, mixed by how seldom they erred, say which concept a context is of; a
table says which action the concept stands for. What somebody who is sure has said of exactly this context weighs
as much as both together. Calibration tells how often such an answer was right, and neighbours show
the patterns that speak for it. A feedback shows in the very next answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.errors import ConflictError, InvalidInputError
from core.learning.context import digest, digest_of_checked
from core.learning.learner.calibration import Calibration
from core.learning.learner.concepts import Concepts
from core.learning.learner.experts import Experts, Labelled, Look
from core.learning.learner.model import MAX_CONCEPTS, Model
from core.learning.learner.neighbours import Frozen, Neighbours
from core.learning.learner.recommendation import Recommendation, Suggestion
from core.learning.learner.terms import Terms, terms
from core.learning.learner.trust import DOUBTED, Trust
from core.learning.patterns import CAPACITY, Kept, Memory, Pattern

SHOWN = 3  # patterns for each action
LOOKED_AT = 30  # patterns, to find those


class Learner:
    """What was learnt: a model, and what came since."""

    def __init__(self, model: Model | None = None, capacity: int = CAPACITY) -> None:
        model = model or Model()
        self.version = model.version
        self._experts = Experts(model)
        self._concepts = Concepts(model.concepts, model.runs)
        self._calibration = Calibration(model.past)
        self._trust = Trust(dict(model.trust))
        self._memory = Memory(model.kept, capacity)
        self._neighbours = Neighbours(model.frozen)

    def recommend(
        self,
        context: Mapping[str, Any],
        candidates: Sequence[str] | None = None,
        most: int = 3,
        precision: float = 0.0,
    ) -> Recommendation:
        """Return at most `most` actions; of the candidates only, where such are named.

        Raises InvalidInputError for a context that is refused.
        """
        look = self._experts.look(terms(context))  # which checks the context
        said = self._memory.shares(digest_of_checked(context))
        ranked = self._ranked(look, said, candidates)[:most]
        speaking = self._speaking(look.terms)
        sure = self._confidences([share for _, share in ranked])
        actions = tuple(
            Suggestion(action, confidence, tuple(speaking.get(action, ())))
            for (action, _), confidence in zip(ranked, sure, strict=True)
        )
        return Recommendation(actions, not sure or sure[0] < precision, self.version)

    def predict(self, context: Mapping[str, Any]) -> tuple[str | None, float]:
        """Return the best action and how sure it is, without what speaks for it."""
        look = self._experts.look(terms(context))  # which checks the context
        said = self._memory.shares(digest_of_checked(context))
        best, share = self._best(look, said)
        return best, self._calibration.confidence(share) if best is not None else 0.0

    def learn(self, pattern: Pattern) -> int:
        """Take a feedback; return its number. What its source has already said, as surely, counts once.

        Raises InvalidInputError for a context that is refused, ConflictError for one action too many.
        """
        key = digest(pattern.context)
        number = self._said_again(key, pattern)
        if number is None:
            number = self._take(self._experts.look(terms(pattern.context)), key, pattern)
        return number

    def learn_all(self, patterns: Sequence[Pattern]) -> int:
        """Take feedback in its order; return how much was refused."""
        refused = 0
        for pattern in patterns:
            try:
                self.learn(pattern)
            except (InvalidInputError, ConflictError):
                refused += 1
        return refused

    def _said_again(self, key: bytes, pattern: Pattern) -> int | None:
        """Return the number of the same word of the same source, which is used once more.

        Raises ConflictError for one action too many.
        """
        before = self._memory.word(key, pattern.source)
        says = pattern.action, pattern.confidence
        if before is not None and (before.action, before.confidence) == says:
            self._memory.use(before.number)
            return before.number
        if not self._concepts.of(pattern.action) and len(self._concepts) > MAX_CONCEPTS:
            raise ConflictError(f"a task has at most {MAX_CONCEPTS} actions")
        return None

    def _take(self, look: Look, key: bytes, pattern: Pattern) -> int:
        """Learn a word that is new; return its number."""
        before, source = self._memory.word(key, pattern.source), pattern.source
        weight = pattern.weight * self._judge(look, self._memory.shares(key), pattern)
        kept, gone = self._memory.keep(key, pattern.action, source, weight, pattern.confidence)
        if before is not None:
            self._unlearn(look, before.number, before.action, before.weight)
        concept = self._concept(look, pattern.action) or self._begin(pattern.action)
        self._train(Labelled(look, kept.number, concept, weight))
        for one in gone:
            self._neighbours.remove(one.number)
        self._neighbours.add(kept.number, look.terms.words)
        return kept.number

    def reject(self, pattern: Pattern) -> None:
        """Take that a pattern's action was wrong, where nobody said which is right.

        It teaches how sure such an answer is to be; and where its source had said this very action
        before, that is taken back. Raises InvalidInputError for a context that is refused.
        """
        look = self._experts.look(terms(pattern.context))  # which checks the context
        key = digest_of_checked(pattern.context)
        best, share = self._best(look, self._memory.shares(key))
        if best == pattern.action:
            self._calibration.observe(share, right=False)
        before = self._memory.word(key, pattern.source)
        if before is not None and before.action == pattern.action:
            self._memory.remove(before.number)
            self._neighbours.remove(before.number)
            self._unlearn(look, before.number, before.action, before.weight)

    def use(self, numbers: Sequence[int]) -> None:
        """Remember that patterns were of use: they are forgotten later."""
        for number in numbers:
            self._memory.use(number)

    def forget(self, many: int) -> None:
        """Keep so many patterns less: those go that were neither said nor used for the longest time."""
        gone = {one.number for one in self._memory.forget(many)}
        self._experts.linear.forget(gone)
        for number in gone:
            self._neighbours.remove(number)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes: the tables, what is kept, and its terms."""
        return self._experts.size_bytes + 500 * len(self._memory) + self._neighbours.size_bytes

    def kept_one(self, number: int) -> Kept:
        """Return a pattern that is kept. Raises KeyError."""
        return self._memory[number]

    def weightiest(self, number: int) -> Kept:
        """Return the word that weighs most of those that say the same as a pattern of its context.

        Raises KeyError.
        """
        one = self._memory[number]
        most = self._memory.said(one.digest)
        return most if most is not None and most.action == one.action else one

    def said(self, context: Mapping[str, Any]) -> Kept | None:
        """Return the word that holds on exactly this context (`Memory.said`).

        Raises InvalidInputError for a context that is refused.
        """
        return self._memory.said(digest(context))

    def kept(self) -> tuple[Kept, ...]:
        """Return the patterns that are kept, in the order of their numbers."""
        return tuple(self._memory)

    def words(self, number: int) -> tuple[str, ...]:
        """Return the exact terms of a pattern that came since the model. Raises KeyError."""
        return self._neighbours.words(number)

    def model(self, version: int, frozen: Frozen | None = None) -> Model:
        """Return all that was learnt; `frozen` is the index over all patterns that are kept."""
        return Model(
            version,
            self._experts.seen,
            self._concepts.table,
            self._experts.linear.weights.copy(),
            self._experts.bayes.counts.copy(),
            self._experts.frequencies.copy(),
            self._experts.mixture.misses.copy(),
            tuple(self._calibration.past),
            tuple(self._experts.linear.examples),
            self.kept(),
            frozen or Frozen.empty(),
            self._trust.state(),
            self._concepts.runs(),
        )

    def _ranked(
        self, look: Look, said: Mapping[str, float], candidates: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        """Return actions and their shares, the largest first.

        `said` are the shares of what was said of exactly this context (`Memory.shares`).
        """
        names = self._concepts.actions
        shares = dict(
            zip(names, self._concepts.by_action(np.exp(look.mixed)).tolist(), strict=True)
        )
        if said:
            rest = 1 - sum(said.values()) / 2
            shares = {name: share * rest for name, share in shares.items()}
            for name, share in said.items():
                shares[name] = shares.get(name, 0.0) + share / 2
        if candidates is not None:
            others = 1 - sum(shares.values())  # of what is not known
            shares = {name: shares.get(name, 0.0) for name in candidates}
            total = sum(shares.values()) + others or 1.0
            shares = {name: share / total for name, share in shares.items()}
        return sorted(shares.items(), key=lambda pair: -pair[1])

    def _best(self, look: Look, said: Mapping[str, float]) -> tuple[str | None, float]:
        """Return the first of the ranked actions with its share; None where there is none."""
        if said:
            return self._ranked(look, said)[0]
        shares = self._concepts.by_action(np.exp(look.mixed))
        if not len(shares):
            return None, 0.0
        place = int(shares.argmax())
        return self._concepts.actions[place], float(shares[place])

    def _confidences(self, shares: list[float]) -> list[float]:
        """Return how often such a first answer was right; the others share what is left."""
        if not shares:
            return []
        first = self._calibration.confidence(shares[0])
        rest = max(1 - shares[0], 1e-9)
        return [first, *((1 - first) * share / rest for share in shares[1:])]

    def _speaking(self, found: Terms) -> dict[str, list[int]]:
        """Return the likest patterns of each action."""
        speaking: dict[str, list[int]] = {}
        for one in self._neighbours.find(found.words, LOOKED_AT):
            numbers = speaking.setdefault(self._memory[one.number].action, [])
            if len(numbers) < SHOWN:
                numbers.append(one.number)
        return speaking

    def _judge(self, look: Look, said: Mapping[str, float], pattern: Pattern) -> float:
        """Learn from how this would have been answered; return how far the feedback is believed."""
        best, share = self._best(look, said)
        self._calibration.observe(share, right=best == pattern.action)
        self._watch(look, pattern)
        concept = self._concept(look, pattern.action)
        if concept:
            self._experts.mixture.observe(look.opinions, concept)
        contradicts = best is not None and best != pattern.action
        believed = self._trust.weigh(pattern.source.name, pattern.action, contradicts=contradicts)
        return min(believed, DOUBTED) if self._experts.deny(look, concept) else believed

    def _watch(self, look: Look, pattern: Pattern) -> None:
        """Have the concept that this was taken for move, if it has come to stand for the action."""
        taken_for, likely = int(look.mixed.argmax()), np.exp(look.mixed)
        expected = max(
            float(likely[self._concepts.of(pattern.action)].sum()),
            self._trust.usual(pattern.action),
        )
        self._concepts.observe(
            taken_for, pattern.action, pattern.source.name, float(likely[taken_for]), expected
        )

    def _concept(self, look: Look, action: str) -> int:
        """Return the concept that an action most likely means here; 0 if it has none."""
        return max(self._concepts.of(action), key=lambda one: float(look.mixed[one]), default=0)

    def _train(self, one: Labelled) -> None:
        self._experts.train(one)

    def _begin(self, action: str) -> int:
        self._experts.add_concept()
        return self._concepts.add(action)

    def _unlearn(self, look: Look, number: int, action: str, weight: float) -> None:
        """Take back what a source says no more."""
        self._experts.untrain(Labelled(look, number, self._concept(look, action), weight))

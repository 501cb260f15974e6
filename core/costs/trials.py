"""Trials: is a cheaper model as good at a task as the one in use? A test that may be looked at any time.

Flows are split by chance: some have the task done by the cheaper model, as many by the one in use. What
came of each is a *quality* from 0 (bad) to 1 (good). The first outcome of one arm makes a pair with the
first of the other, and so on, whichever comes quicker. A pair's difference d (cheaper minus in use) has
the mean by which the arms differ, whatever the quality of either.

Against each of two claims money is bet, as it were, pair by pair: against "it is not worse" (mean of
d >= 0) with factors 1 - b d, against "it is worse by the margin or more" (mean of d <= -m) with
1 + b (d + m). If the claim is true no bet gains on average, so the chance that the capital *ever* grows
k-fold is at most 1/k (Ville's inequality), however often it is looked at. Hence the test may stop at any
time. The capital is spread over five bets b, since the best one depends on the difference that nobody knows.

Sources: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting (JRSS B 86, 2024,
section 4), for bets on bounded outcomes, graded ones too; Vovk and Wang, E-values (Annals of Statistics 49,
2021), for the mean of several; Johari and others, Always valid inference (Operations Research 70, 2022),
for trials that are watched.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

ERROR = (
    0.04  # the chance of `worse` where it is not, and of `as_good` where it is worse by the margin
)
BETS = (0.05, 0.1, 0.2, 0.4, 0.8)
MOST_WAITING = 1_000  # outcomes of one arm that wait for the other's; further ones are left out
ENOUGH = 1e9  # a capital grows no further, so that it stays a number
MARGIN = 0.05
MOST_OUTCOMES = 4_000


class Arm(StrEnum):
    """Which model did the task."""

    IN_USE = "in_use"
    CHEAPER = "cheaper"


class Signal(StrEnum):
    """What an outcome rests on; each flow's task has one of each at most.

    ANSWERS: 1 for an answer that was taken at once, 1/2 for one that was taken in the end, 0 for a
    task that failed. PEOPLE: 1 if a person was content, 0 if not.
    """

    ANSWERS = "answers"
    PEOPLE = "people"


class Verdict(StrEnum):
    """How a trial ended."""

    AS_GOOD = "as_good"
    WORSE = "worse"
    UNDECIDED = "undecided"  # at its largest size
    MODEL_CHANGED = "model_changed"  # the deployment has another model than the one that was in use


_START = tuple(1 / len(BETS) for _ in BETS)


@dataclass(frozen=True, slots=True)
class Tally:
    """Outcomes of one arm: how many, and the sum of their qualities."""

    outcomes: int = 0
    sum: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.sum / self.outcomes if self.outcomes else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one signal says so far. `waiting` are outcomes of the arm that is `ahead`.

    `against_equal` and `against_worse` are what the bets against the two claims have come to, by bet.
    """

    in_use: Tally = Tally()
    cheaper: Tally = Tally()
    ahead: Arm | None = None
    waiting: tuple[float, ...] = ()
    against_equal: tuple[float, ...] = _START
    against_worse: tuple[float, ...] = _START

    @property
    def outcomes(self) -> int:
        return self.in_use.outcomes + self.cheaper.outcomes

    @property
    def difference(self) -> float:
        """By how much the cheaper model's mean is higher; 0 until both have one."""
        theirs, ours = self.cheaper.mean, self.in_use.mean
        return 0.0 if theirs is None or ours is None else theirs - ours

    def add(self, arm: Arm, quality: float, margin: float) -> "Comparison":
        """Return the comparison with one more outcome."""
        if len(self.waiting) >= MOST_WAITING and self.ahead is arm:
            return self
        counted = self._counted(arm, quality)
        if self.ahead in (None, arm):
            return replace(counted, ahead=arm, waiting=(*self.waiting, quality))
        first, *rest = self.waiting
        paired = replace(counted, ahead=self.ahead if rest else None, waiting=tuple(rest))
        return paired.bet(quality - first if arm is Arm.CHEAPER else first - quality, margin)

    def _counted(self, arm: Arm, quality: float) -> "Comparison":
        tally: Tally = getattr(self, arm.value)
        more = Tally(tally.outcomes + 1, tally.sum + quality)
        return replace(self, in_use=more) if arm is Arm.IN_USE else replace(self, cheaper=more)

    def bet(self, difference: float, margin: float) -> "Comparison":
        """Return the comparison after a pair's bets; `difference` is the cheaper one's less the other's."""
        return replace(
            self,
            against_equal=_grown(self.against_equal, -difference),
            against_worse=_grown(self.against_worse, difference + margin),
        )


def _grown(capital: tuple[float, ...], gain: float) -> tuple[float, ...]:
    """Return what each bet's capital has come to after it has gained `gain` for each unit it bet."""
    each = zip(BETS, capital, strict=True)
    return tuple(min(kept * (1 + bet * gain), ENOUGH) for bet, kept in each)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a trial has seen. `margin` is how much worse would still do, `most` how many answers.

    `judged_by`: which signal may show that the model is as good. Answers that nothing checks are all taken at
    once, so they show nothing: from the first of them on it is what people say.
    """

    margin: float = MARGIN
    most: int = MOST_OUTCOMES
    answers: Comparison = Comparison()
    people: Comparison = Comparison()
    judged_by: Signal = Signal.ANSWERS

    def add(self, signal: Signal, arm: Arm, quality: float, *, checked: bool = True) -> "Evidence":
        """Return the evidence with one more outcome, from 0 to 1."""
        if signal is Signal.ANSWERS:
            judge = self.judged_by if checked else Signal.PEOPLE
            answers = self.answers.add(arm, quality, self.margin)
            return replace(self, answers=answers, judged_by=judge)
        return replace(self, people=self.people.add(arm, quality, self.margin))

    @property
    def of_worse(self) -> float:
        """How many times the money against "it is not worse" has grown: half lay on each signal."""
        return (sum(self.answers.against_equal) + sum(self.people.against_equal)) / 2

    @property
    def of_as_good(self) -> float:
        """How many times the money against "it is worse by the margin" has grown, on what it is judged by."""
        return sum(self._both[0].against_worse)

    @property
    def _both(self) -> tuple[Comparison, Comparison]:
        """The comparison that may show that the model is as good, and the other."""
        if self.judged_by is Signal.ANSWERS:
            return self.answers, self.people
        return self.people, self.answers

    @property
    def verdict(self) -> Verdict | None:
        """What it comes to; None while it goes on. The other signal must not say the opposite."""
        if self.of_worse * ERROR >= 1:
            return Verdict.WORSE
        if self.of_as_good * ERROR >= 1 and self._both[1].difference >= -self.margin:
            return Verdict.AS_GOOD
        return Verdict.UNDECIDED if self.answers.outcomes >= self.most else None

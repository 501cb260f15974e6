"""Trials of a cheaper model, simulated: how often they end with the wrong verdict, and after how much.

Answers are good or bad by chance, fixed by a seed. All trials are reckoned at once, in arrays, by the
formulas of `core.costs.trials`; the first ones also by its code, outcome by outcome, and must end alike.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.report import Figure
from core.costs.trials import BETS, ERROR, MARGIN, MOST_OUTCOMES, Arm, Evidence, Signal, Verdict

TRIALS, CHECKED, SEED = 1_000, 10, 20260101
GOOD = 0.9  # of the answers of the model in use
POINTS = 0.05  # by which a worse model is worse


@dataclass(frozen=True, slots=True)
class Ends:
    """How trials ended: how many of each verdict, and after how many answers of both models."""

    verdicts: dict[Verdict, int]
    half: int  # of the trials were over by then
    nine_tenths: int

    @property
    def seen(self) -> str:
        told = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.items())
        return f"{told}; half were over after {self.half} answers, nine tenths after {self.nine_tenths}"


def figures() -> list[Figure]:
    """Simulate and count."""
    same, worse = simulated(0.0), simulated(POINTS)
    alarms = same.verdicts[Verdict.WORSE] / TRIALS
    missed = worse.verdicts[Verdict.AS_GOOD] / TRIALS
    return [
        Figure("trial_false_alarms", alarms, "<= 0.04", f"as good: {same.seen}"),
        Figure("trial_missed_harm", missed, "<= 0.04", f"5 points worse: {worse.seen}"),
    ]


def simulated(lower_by: float) -> Ends:
    """Return how trials end in which the cheaper model is good this much less often."""
    chance = np.random.default_rng(SEED)
    pairs = MOST_OUTCOMES // 2
    in_use = chance.random((TRIALS, pairs)) < GOOD
    cheaper = chance.random((TRIALS, pairs)) < GOOD - lower_by
    of_worse, of_as_good = _grown(cheaper.astype(float) - in_use.astype(float))
    worse_at, as_good_at = _first(of_worse * ERROR >= 1), _first(of_as_good * ERROR >= 1)
    verdicts = np.select(
        [(worse_at <= as_good_at) & (worse_at < pairs), as_good_at < pairs],
        [Verdict.WORSE.value, Verdict.AS_GOOD.value],
        Verdict.UNDECIDED.value,
    )
    ended_at = np.minimum(np.minimum(worse_at, as_good_at) + 1, pairs)
    for trial in range(CHECKED):
        by_code = _by_code(in_use[trial], cheaper[trial])
        if by_code != (verdicts[trial], ended_at[trial]):
            raise RuntimeError(f"the code ends a trial with {by_code}")
    half, most = np.quantile(ended_at, [0.5, 0.9])
    counts = {each: int((verdicts == each.value).sum()) for each in Verdict}
    return Ends(counts, round(2 * half), round(2 * most))


def _grown(differences: Any) -> tuple[Any, Any]:
    """Return how the money has grown against either claim, by trial and pair; nobody else spoke."""
    equal, worse = np.zeros_like(differences), np.zeros_like(differences)
    for bet in BETS:
        equal += np.cumprod(1 - bet * differences, axis=1) / len(BETS)
        worse += np.cumprod(1 + bet * (differences + MARGIN), axis=1) / len(BETS)
    return (equal + 1) / 2, worse


def _first(reached: Any) -> Any:
    """Return at which pair each trial has reached it; the number of pairs where it never does."""
    return np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1])


def _by_code(in_use: Any, cheaper: Any) -> tuple[str, int]:
    """Return how the code ends the trial of these answers, and after how many pairs."""
    evidence = Evidence()
    for pair, (one, other) in enumerate(zip(in_use, cheaper, strict=True), 1):
        evidence = evidence.add(Signal.ANSWERS, Arm.IN_USE, float(one))
        evidence = evidence.add(Signal.ANSWERS, Arm.CHEAPER, float(other))
        if evidence.verdict is not None:
            return evidence.verdict.value, pair
    raise RuntimeError("a trial has no end")

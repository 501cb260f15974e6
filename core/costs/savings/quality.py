"""Quality as it is recorded: how often an answer to a task is not taken at once, by the task's own checks.

A task that checks nothing takes everything, so its answers tell nothing of quality.
"""

import math
from dataclasses import dataclass

from core.costs.facts import Facts
from core.costs.trials import MARGIN

Z = 1.959964  # both sides of 95 %


@dataclass(frozen=True, slots=True)
class Quality:
    """Answers that were checked, and how many of them had to be begun again."""

    answers: int
    again: int

    @property
    def failing(self) -> float:
        return self.again / self.answers if self.answers else 0.0

    def interval(self, further: float = math.inf) -> tuple[float, float]:
        """Return between which shares that lies, 19 times of 20 (Wilson's score interval).

        Of so many `further` answers the share lies there: chance has its part in these, too.
        """
        if not self.answers or not further:
            return 0.0, 1.0
        n, p = 1 / (1 / self.answers + 1 / further), self.failing
        middle, spread = p + Z * Z / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        low, high = ((middle + sign * spread) / (1 + Z * Z / n) for sign in (-1, 1))
        return max(0.0, low), min(1.0, high)


def of_answers(facts: Facts) -> Quality:
    """Return the quality that facts tell of."""
    answers = min(facts.get("tries", 0), facts.get("tries_checked", 0))
    return Quality(answers, min(answers, facts.get("tries_again", 0)))


def of_effort(facts: Facts, effort: str) -> Quality:
    """Return the quality of answers that were given with this reasoning effort."""
    answers = min(facts.get(f"effort_{effort}_tries", 0), facts.get("tries_checked", 0))
    return Quality(answers, min(answers, facts.get(f"effort_{effort}_again", 0)))


def worse_by(cheaper: Quality, now: Quality) -> tuple[float, float]:
    """Return between which figures the cheaper one fails more often, 19 times of 20.

    By Newcombe's method 10 (Statistics in Medicine 17, 1998), of two independent shares.
    """
    p, q = cheaper.failing, now.failing
    (p_low, p_high), (q_low, q_high) = cheaper.interval(), now.interval()
    low = math.hypot(p - p_low, q_high - q)
    high = math.hypot(p_high - p, q - q_low)
    return p - q - low, p - q + high


def is_as_good(cheaper: Quality, now: Quality) -> bool:
    """Tell whether it is all but sure that the cheaper one fails hardly more often."""
    return worse_by(cheaper, now)[1] <= MARGIN


def is_worse(cheaper: Quality, now: Quality) -> bool:
    """Tell whether it is all but sure that the cheaper one fails more often."""
    return worse_by(cheaper, now)[0] > 0

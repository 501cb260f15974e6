"""Deferrals: for how long a step is put off, and how often.

A few times whoever asks for it is believed. Then the delay grows to minutes, since each time costs
the log some events and the provider some calls; and in the end the step fails, since what it waits
for does not come.
"""

from core.crews.crew_runner import StepDeferredError, StepFailedError
from core.errors import UnavailableError

AWAY_SECONDS = 10.0  # until a step is tried again whose object store is away
AS_ASKED, MOST_DEFERRALS = 5, 50
GROWING_SECONDS, MOST_SECONDS = 30.0, 600.0
REASON_CHARACTERS = 1_000


def deferral(error: StepDeferredError | UnavailableError, deferrals: int) -> tuple[str, int]:
    """Return why a step is put off that was put off so often before, and for how many milliseconds.

    Raises StepFailedError for one that was put off too often.
    """
    reason, passes = str(error)[:REASON_CHARACTERS], getattr(error, "passes", False)
    if deferrals >= MOST_DEFERRALS and not passes:
        raise StepFailedError(f"{reason}; it was put off {deferrals} times before")
    least = 0.0 if passes or deferrals < AS_ASKED else _grown(deferrals - AS_ASKED)
    if isinstance(error, UnavailableError):
        least = max(least, AWAY_SECONDS)
    return reason, max(1, round(max(least, error.retry_after_seconds) * 1000))  # 0 is not counted


def _grown(times: int) -> float:
    return min(MOST_SECONDS, GROWING_SECONDS * 2.0**times)

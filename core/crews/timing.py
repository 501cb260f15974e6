"""Timing: how long a worker holds a step without a heartbeat, and how much time a step is given."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The lease of a step and its heartbeat, in seconds.

    A lease must outlast two lost beats, or a worker that lives is taken for dead. A step is not
    begun with less than `step_seconds` left.
    """

    lease_seconds: float
    beat_seconds: float
    step_seconds: float

    def __post_init__(self) -> None:
        if self.lease_ms < 3 * round(self.beat_seconds * 1000):
            raise ValueError("the lease must be at least three heartbeats long")

    @property
    def lease_ms(self) -> int:
        """The lease as the ledger counts it."""
        return round(self.lease_seconds * 1000)

    @property
    def last_call_seconds(self) -> float:
        """No model call is begun with less than this left: its answer would be paid and lost."""
        return min(2.0, self.step_seconds / 10)

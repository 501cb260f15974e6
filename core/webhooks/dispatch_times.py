"""When webhooks are tried again, and when logs are looked at."""

import random
from dataclasses import dataclass

from core.flows import Status


@dataclass(frozen=True, slots=True)
class DispatchTimes:
    """When what happens, in seconds.

    `delays` after each failure but the last. An entry is leased for `lease`, which must be longer
    than a POST may take. The log of a running flow is polled soon after something happened, later
    when nothing does (`poll`). What is for a slow host is put off for `put_off`, or up to twice that.
    """

    delays: tuple[float, ...] = (5, 30, 120, 600, 3600, 5 * 3600, 17 * 3600)
    lease: float = 60.0
    poll: tuple[float, float] = (1.0, 15.0)
    put_off: float = 5.0
    poll_waiting: float = 3600.0  # what ends the wait makes the flow due at once

    @property
    def tries(self) -> int:
        """How often a webhook event is tried."""
        return len(self.delays) + 1

    @property
    def lease_ms(self) -> int:
        """How long an entry is leased for."""
        return _ms(self.lease)

    @property
    def soonest_ms(self) -> int:
        """How soon a flow is polled after something happened."""
        return _ms(self.poll[0])

    @property
    def longest_poll_ms(self) -> int:
        """How long a running flow is left alone at most."""
        return _ms(self.poll[1])

    def delay_ms(self, failures: int) -> int:
        """Return how long to wait after so many failures in a row."""
        return _ms(self.delays[min(failures, len(self.delays)) - 1])

    def put_off_ms(self) -> int:
        """Return how long what is for a slow host is left; not all of it comes back at once."""
        return _ms(self.put_off * random.uniform(1, 2))  # noqa: S311 -- no secret

    def poll_ms(self, waited_ms: int, status: Status) -> int:
        """Return how long a flow of which all is delivered is left alone."""
        if status is Status.WAITING:
            return _ms(self.poll_waiting)
        return min(max(waited_ms, self.soonest_ms), self.longest_poll_ms)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)

"""Running the scripts that change one flow: its keys, today's roll-up, and verdicts as errors."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from core.adapters.upstash.calls import Call, ScriptRunner
from core.adapters.upstash.keys import Keyspace
from core.crews import clock
from core.crews.ledger import ExpiredError, FencedError
from core.errors import NotFoundError, UnavailableError

DAY_MS = 86_400_000


def date(time_ms: int) -> str:
    """Return the day of a time as roll-ups name it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()


class FlowScripts:
    """Runs scripts on flows.

    One that counts money is handed the keys of three days, since a script must declare its keys,
    and counts in that of Redis' own day. `now_ms` need not be more exact than that.
    """

    def __init__(
        self, runner: ScriptRunner, keys: Keyspace, now_ms: Callable[[], int] = clock.now_ms
    ) -> None:
        self._runner, self._keys, self._now_ms = runner, keys, now_ms

    def today(self) -> int:
        """Return the number of this day since 1970."""
        return self._now_ms() // DAY_MS

    def days(self, tenant: str, day: int) -> tuple[str, str, str]:
        """Return the keys of a tenant's roll-ups of the day before, this day, and the next."""
        before, at, after = (date((day + off) * DAY_MS) for off in (-1, 0, 1))
        spend = self._keys.spend
        return spend(tenant, before), spend(tenant, at), spend(tenant, after)

    async def run(self, call: Call, flow: str, what: str = "what is to be stored") -> list[Any]:
        """Run a script; return its verdict and what comes with it.

        Raises NotFoundError, FencedError, ExpiredError where that is the verdict.
        """
        reply: list[Any] = await self._runner.run(call, what)
        match reply[0]:
            case "not_found":
                raise NotFoundError(f"no flow {flow}")
            case "fenced":
                raise FencedError
            case "expired":
                raise ExpiredError
            case "wrong_clock":
                raise UnavailableError("this machine's clock is more than a day from the store's")
            case _:
                return reply

"""Running the scripts that change one flow: its keys, today's roll-up, and verdicts as errors."""

from collections.abc import Callable
from typing import Any

from core import time_of_day
from core.adapters.upstash.calls import ScriptCall, ScriptRunner
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.script_keys import HeldKeys, MoneyKeys
from core.crews.ledger import ExpiredError, FencedError
from core.errors import NotFoundError, UnavailableError


class FlowScripts:
    """Runs scripts on flows.

    One that counts money is handed the keys of three days, since a script must declare its keys,
    and counts in that of Redis' own day. `now_ms` need not be more exact than that.
    """

    def __init__(
        self, runner: ScriptRunner, keys: Keyspace, now_ms: Callable[[], int] = time_of_day.now_ms
    ) -> None:
        self._runner, self._keys, self._now_ms = runner, keys, now_ms

    def held(self, tenant: str) -> HeldKeys:
        """Return the keys of what a tenant's budgets hold in the month before, this one, and the next."""
        return HeldKeys.around(self._keys, tenant, self._now_ms())

    def money(self, tenant: str) -> MoneyKeys:
        """Return the keys of what a script counts money in."""
        return MoneyKeys.around(self._keys, tenant, self._now_ms())

    async def run(
        self, call: ScriptCall, flow: str, what: str = "what is to be stored"
    ) -> list[Any]:
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

"""UsageBook over Redis: one script for the calls of a day, or a few where they count in many budgets."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, cast

from core import time_of_day
from core.adapters.upstash import script_keys
from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.ids import hashed
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.script_keys import MoneyKeys
from core.adapters.upstash.scripts import money
from core.costs.recording import NotNew, Recorded, RecordedCall, batch_digest
from core.costs.rollup import DAY_MS, QUARTER_MS


class UpstashUsageBook:
    """Counts calls made elsewhere, where those of flows are counted."""

    def __init__(
        self,
        redis: Commands,
        keys: Keyspace | None = None,
        runner: ScriptRunner | None = None,
        now_ms: Callable[[], int] = time_of_day.now_ms,
    ) -> None:
        self._keys = keys or Keyspace()
        self._scripts = runner or ScriptRunner(redis)
        self._now_ms = now_ms

    async def record(self, tenant: str, calls: Sequence[RecordedCall]) -> Recorded:
        """Count calls, those of one day after those of another; perhaps in several scripts."""
        by_day = defaultdict[int, list[RecordedCall]](list)
        for call in calls:
            by_day[call.at_ms // DAY_MS].append(call)
        fates, costs = dict[str, NotNew](), dict[str, int | None]()
        alerts, batch = list[dict[str, Any]](), batch_digest(calls)
        for day, of_day in sorted(by_day.items()):
            done = 0
            while done < len(of_day):
                of_calls, events = await self._record_some(tenant, day, of_day[done:], batch)
                for call, fate in zip(of_day[done:], of_calls, strict=False):
                    said, _, cost = fate.partition(":")
                    if cost:
                        costs[call.id] = None if cost.endswith("u") else int(cost)
                    elif said != "new":
                        fates[call.id] = cast("NotNew", said)
                alerts += [json.loads(event)["value"] for event in events]
                done += len(of_calls)
        return Recorded(fates, alerts, costs)

    async def _record_some(
        self, tenant: str, day: int, calls: list[RecordedCall], batch: str
    ) -> tuple[list[str], list[str]]:
        """Count the first calls of a day; return the fates of these, and the alerts of budgets."""
        now_ms = self._now_ms()
        record = money.record_usage(
            MoneyKeys.around(self._keys, tenant, day * DAY_MS),
            self._keys.budgets(tenant),
            *script_keys.call_ids(self._keys, tenant, now_ms),
            tenant=tenant,
            batch=batch,
            both=script_keys.is_new_period(now_ms),
            calls=[
                {
                    "id": hashed(call.id),
                    "quarter": call.at_ms // QUARTER_MS,
                    "cell": list(call.names),
                    "used": {name: n for name, n in call.usage.public().items() if n},
                    "facts": dict(call.facts),
                    "digest": call.digest,
                }
                for call in calls
            ],
        )
        fates, alerts = await self._scripts.run(record)
        return fates, alerts

"""Money is counted on Redis' day, and a clock that is further off counts nothing."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.adapters.upstash.call_ledger import UpstashCallLedger
from core.adapters.upstash.calls import FOLDER, ScriptRunner
from core.adapters.upstash.http import HttpRedis
from core.costs.rollup import DAY_MS, day_of
from core.costs.usage import Usage
from core.errors import UnavailableError
from tests.cells import cells_of
from tests.contract.test_redis_keys import a_call, held
from tests.fixtures_ports import DEFAULT_KEYS, a_launch, over_redis


@pytest.mark.parametrize("days_off", [-1, 0, 1])
async def test_money_is_counted_on_redis_day_whatever_the_workers_clock_says(gateway, days_off):
    await money_is_counted_on_redis_day(gateway, FOLDER, days_off)


async def money_is_counted_on_redis_day(gateway, lua_folder: Path, days_off: int) -> None:
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    runner = ScriptRunner(commands, lua_folder)
    calls = UpstashCallLedger(commands, DEFAULT_KEYS, runner, lambda: wrong_ms(days_off))
    await flows.ledger.create(flows.tenant, a_launch())
    claim = await held(flows)
    for number in (1, 2):
        await calls.reserve(a_call(claim, number))
        await calls.settle(a_call(claim, number), Usage(calls=1), [])
    seconds, _ = await commands.execute(["TIME"])
    spent = await cells_of(flows.spending, flows.tenant, [day_of(int(seconds) * 1000)])
    assert [of.usage for of in spent] == [Usage(calls=2)]
    found = await commands.execute(["KEYS", flows.keys.spend(flows.tenant, "*")])
    assert len(found) == 2  # of the day, and of its hours


def wrong_ms(days_off: int) -> int:
    return time.time_ns() // 1_000_000 + days_off * DAY_MS


async def test_a_clock_that_is_further_off_counts_nothing(gateway):
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    calls = UpstashCallLedger(commands, DEFAULT_KEYS, now_ms=lambda: wrong_ms(2))
    await flows.ledger.create(flows.tenant, a_launch())
    claim = await held(flows)
    await calls.reserve(a_call(claim, 1))
    with pytest.raises(UnavailableError, match="clock"):
        await calls.settle(a_call(claim, 1), Usage(calls=1), [])
    today = datetime.now(UTC).date().isoformat()
    assert await cells_of(flows.spending, flows.tenant, [today]) == []

"""What every UsageBook does: a call made elsewhere is counted once by its id. Over memory and Redis."""

import asyncio
import time
from dataclasses import replace

import pytest

from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.script_keys import call_ids
from core.adapters.upstash.usage import UpstashUsageBook
from core.costs.cells import Cell
from core.costs.recording import OLDEST_DAYS, RecordedCall
from core.costs.rollup import DAY_MS, day_of
from core.costs.usage import Usage
from tests.cells import cells_of
from tests.faulty import faulty
from tests.fixtures_ports import Flows, over_redis, own_keys

USED = Usage(1, 1_000, 50, 2_500_000)
NAMES = ("brief", "write", "writer", "ann", "openai/gpt-4o")
NOW_MS = round(time.time() * 1000)


async def counted(flows: Flows, at_ms: int = NOW_MS, *, hours: bool = False) -> list[Cell]:
    return await cells_of(flows.spending, flows.tenant, [day_of(at_ms)], hours=hours)


def call(call_id: str = "c1", at_ms: int = NOW_MS, digest: str = "d1") -> RecordedCall:
    return RecordedCall(call_id, at_ms, NAMES, USED, None, digest)


async def test_a_call_is_counted_in_its_day_and_hour(flows: Flows):
    assert (await flows.usage.record(flows.tenant, [call()])).not_new == {}
    assert await counted(flows) == [Cell.of(day_of(NOW_MS), None, NAMES, USED)]
    (hour,) = await counted(flows, hours=True)
    assert (hour.hour, hour.usage) == (time.gmtime(NOW_MS / 1000).tm_hour, USED)


async def test_a_call_sent_again_counts_once_and_is_told(flows: Flows):
    await flows.usage.record(flows.tenant, [call("c1"), call("c2")])
    again = [call("c1"), call("c3"), call("c2")]
    assert (await flows.usage.record(flows.tenant, again)).not_new == {"c1": "known", "c2": "known"}
    (cell,) = await counted(flows)
    assert cell.usage.calls == 3


async def test_a_batch_sent_again_gets_the_answer_of_the_first(flows: Flows):
    await flows.usage.record(flows.tenant, [call("c1"), call("c2", digest="other")])
    batch = [call("c1"), call("c2"), call("c3"), call("c4", NOW_MS - 3 * DAY_MS)]
    answers = [await flows.usage.record(flows.tenant, batch) for _ in range(3)]
    assert [each.not_new for each in answers] == [{"c1": "known", "c2": "conflict"}] * 3
    (cell,) = await counted(flows)
    assert cell.usage.calls == 3


async def test_a_known_id_that_says_something_else_is_a_conflict_and_not_counted(flows: Flows):
    await flows.usage.record(flows.tenant, [call()])
    other = [call(digest="d2"), call("c2")]
    assert (await flows.usage.record(flows.tenant, other)).not_new == {"c1": "conflict"}
    assert (
        await flows.usage.record(flows.tenant, [call()])
    ).not_new == {}  # what was counted stays known
    (cell,) = await counted(flows)
    assert cell.usage.calls == 2


async def test_a_call_sent_by_many_at_once_counts_once(flows: Flows):
    batch = [call(f"c{n}") for n in range(20)]
    others = [[*batch, call(f"other{n}")] for n in range(8)]
    known = await asyncio.gather(*[flows.usage.record(flows.tenant, each) for each in others])
    assert sum(len(each.not_new) for each in known) == 7 * 20
    (cell,) = await counted(flows)
    assert cell.usage == Usage(28, 28_000, 1_400, 70_000_000)


async def test_a_batch_may_hold_calls_of_several_days(flows: Flows):
    before = NOW_MS - 3 * DAY_MS
    await flows.usage.record(flows.tenant, [call("c1"), call("c2", before), call("c3", before)])
    assert [cell.usage.calls for cell in await counted(flows)] == [1]
    assert [cell.usage.calls for cell in await counted(flows, before)] == [2]


async def test_calls_of_flows_and_others_add_up_under_the_same_names(flows: Flows):
    await flows.usage.record(flows.tenant, [call("c1")])
    dearer = replace(call("c2"), usage=Usage(1, 1, 1, 1))
    await flows.usage.record(flows.tenant, [dearer])
    (cell,) = await counted(flows)
    assert cell.usage == USED + Usage(1, 1, 1, 1)


async def test_another_tenant_may_use_the_same_ids(flows: Flows):
    await flows.usage.record(flows.tenant, [call()])
    assert (await flows.usage.record(f"{flows.tenant}-other", [call()])).not_new == {}
    assert [cell.usage.calls for cell in await counted(flows)] == [1]


async def test_a_thousand_calls_are_one_batch(flows: Flows):
    await flows.usage.record(flows.tenant, [call(f"c{n}") for n in range(1_000)])
    (cell,) = await counted(flows)
    assert cell.usage.calls == 1_000


async def test_a_call_whose_reply_was_lost_counts_once(gateway):
    keys, fates = own_keys(), iter(["drop"])
    async with faulty(gateway.url, lambda: next(fates, "pass")) as url:
        flows = over_redis(HttpRedis(url, gateway.token), url, gateway.token, keys=keys)
        assert (await flows.usage.record(flows.tenant, [call()])).not_new == {}  # it is sent again
        (cell,) = await counted(flows)
    assert cell.usage.calls == 1


@pytest.mark.parametrize("came", range(0, 60, 3))
def test_an_id_is_remembered_for_as_long_as_a_call_may_lie_back(came: int):
    came_ms = 1_767_225_600_000 + came * DAY_MS  # from 2026-01-01 on
    _, written = call_ids(Keyspace(), "t", came_ms)
    for days in range(OLDEST_DAYS + 1):
        assert written in call_ids(Keyspace(), "t", came_ms + days * DAY_MS)


@pytest.mark.parametrize("unpriced", [0, 1])
async def test_a_batch_sent_again_is_told_at_what_it_was_counted(flows: Flows, unpriced: int):
    before = replace(call(), usage=replace(USED, unpriced_calls=unpriced))
    now = replace(call(), usage=replace(USED, cost_nanodollars=7))
    await flows.usage.record(flows.tenant, [before, call("c2")])
    again = await flows.usage.record(flows.tenant, [now, call("c2")])
    assert again.not_new == {}
    assert again.usage(now).unpriced_calls == unpriced
    cost = 0 if unpriced else USED.cost_nanodollars
    assert (again.usage(now).cost_nanodollars, again.usage(call("c2"))) == (cost, USED)


@pytest.mark.parametrize("ahead_first", [True, False])
async def test_two_whose_clocks_differ_count_a_call_once_where_the_days_of_ids_end(
    gateway, ahead_first: bool
):
    commands, keys = HttpRedis(gateway.url, gateway.token), own_keys()
    flows = over_redis(commands, gateway.url, gateway.token, keys=keys)
    end_ms = (NOW_MS // (32 * DAY_MS) + 1) * 32 * DAY_MS
    runner = ScriptRunner(commands)
    for off_ms in (100, -500) if ahead_first else (-500, 100):
        book = UpstashUsageBook(commands, keys, runner, lambda off_ms=off_ms: end_ms + off_ms)
        assert (await book.record(flows.tenant, [call()])).not_new == {}
    (cell,) = await counted(flows)
    assert cell.usage.calls == 1


async def test_facts_of_calls_made_elsewhere_are_added_to_those_of_the_day(flows: Flows):
    calls = [replace(call(f"c{n}"), facts={"out_n_6": 1, "quality_low": n}) for n in range(3)]
    await flows.usage.record(flows.tenant, calls)
    assert [each.facts for each in await counted(flows)] == [{"out_n_6": 3, "quality_low": 3}]
    assert [each.facts for each in await counted(flows, hours=True)] == [{}]


async def test_facts_without_usage_count_no_call(flows: Flows):
    await flows.usage.record(flows.tenant, [call()])
    facts = replace(call("c2"), usage=Usage(), facts={"wasted_failed_n": 1})
    for _ in range(2):
        await flows.usage.record(flows.tenant, [facts])
    assert await counted(flows) == [
        Cell.of(day_of(NOW_MS), None, NAMES, USED, {"wasted_failed_n": 1})
    ]
    assert [each.usage for each in await counted(flows, hours=True)] == [USED]

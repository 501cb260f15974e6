"""What the Redis adapters leave behind, and that they keep within one slot of a cluster."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from core.adapters.upstash import keys
from core.adapters.upstash.budgets import UpstashBudgetBook
from core.adapters.upstash.commands import CommandError
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.scripts import DAY_MS, FOLDER, FlowScripts, date
from core.costs.budgets import Call
from core.costs.usage import Usage
from core.crews.ledger import Claim, StepWrite
from core.flows import Status, Step, events
from tests.fixtures_ports import TTL_SECONDS, Flows, a_launch, over_redis


async def a_whole_flow(flows: Flows) -> None:
    """Every operation of the ports once."""
    await flows.ledger.create(flows.tenant, a_launch(webhooks={"url": "https://example.com"}))
    await flows.ledger.take(flows.tenant, 1, 1)
    claim = await held(flows)
    for seq in range(1, 40):
        await flows.ledger.emit(claim, seq, 1000, StepWrite(events.custom("x", 1), error="e"))
    await used(flows, claim, 1)
    await flows.budgets.reserve(a_call(claim, 2))
    await flows.ledger.add_steps(flows.tenant, "f1", (Step("four", "Four", "worker"),))
    await flows.ledger.commit(claim, 40, {"output": 1}, StepWrite(events.step_finished("one")))
    await flows.wake_queue.enqueue(flows.tenant, "f1")
    await flows.log.recent(flows.tenant, 10)
    await flows.log.entries(flows.tenant, "f1", 0, 10)
    await wait(flows)
    await flows.ledger.reschedule(flows.tenant, "f1", 1000)
    answer = ("one.review.1", {"approve": True})
    await flows.ledger.transition(
        flows.tenant, "f1", Status.RUNNING, status_epoch=1, events=[], answer=answer
    )
    await flows.ledger.transition(
        flows.tenant, "f1", Status.SUCCEEDED, status_epoch=2, events=events.run_finished("f1", 1)
    )


async def held(flows: Flows) -> Claim:
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner="w", lease_ms=1000, events=events.step_started("one", 1)
    )
    assert isinstance(claim, Claim)
    return claim


def a_call(claim: Claim, number: int) -> Call:
    usage = Usage(calls=1)
    return Call(claim.tenant, claim.flow, claim.step, claim.epoch, number, "m", "c", "t", usage)


async def used(flows: Flows, claim: Claim, number: int) -> None:
    await flows.budgets.reserve(a_call(claim, number))
    await flows.budgets.settle(a_call(claim, number), Usage(calls=1), events.custom("x", 1))


async def wait(flows: Flows) -> None:
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=0, events=[], waiting={"name": "review"}
    )


async def test_every_operation_of_a_tenant_stays_within_one_slot(cluster_gateway):
    rest = cluster_gateway
    commands = HttpRedis(rest.url, rest.token)
    with pytest.raises(CommandError, match="CROSSSLOT"):  # the server does mind
        await commands.execute(["MGET", keys.flow("a", "f"), keys.flow("b", "f")])
    await a_whole_flow(over_redis(commands, rest.url, rest.token))


async def test_every_key_has_a_time_to_live(gateway):
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    await a_whole_flow(flows)
    await flows.ledger.create(flows.tenant, a_launch("f2"))
    found = await commands.execute(["KEYS", f"*{flows.tenant}*"])
    assert {key.split(":")[1] for key in found} == {
        "flow",
        "log",
        "flows",
        "due",
        "outbox",
        "spend",
    }
    for key in found:
        assert await commands.execute(["TTL", key]) > 0, key
    assert await commands.execute(["TTL", keys.TENANTS]) > 0
    day = next(key for key in found if ":spend:" in key)
    assert await commands.execute(["TTL", day]) > 399 * 86_400


async def test_a_flow_that_waits_outlives_the_end_of_its_time(gateway):
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    limit_seconds, webhooks = 30 * 86_400, {"url": "https://example.com"}
    launch = a_launch(time_limit_ms=limit_seconds * 1000, webhooks=webhooks)
    await flows.ledger.create(flows.tenant, launch)
    await wait(flows)
    await flows.ledger.create(flows.tenant, a_launch("f2"))  # shortens nothing
    for key in (keys.flow, keys.log):
        assert await commands.execute(["TTL", key(flows.tenant, "f1")]) > limit_seconds
    for key in (keys.due, keys.outbox):
        assert await commands.execute(["TTL", key(flows.tenant)]) > limit_seconds
    assert await commands.execute(["TTL", keys.TENANTS]) > limit_seconds
    live_until = float(await commands.execute(["ZSCORE", keys.TENANTS, flows.tenant]))
    assert live_until > (time.time() + limit_seconds) * 1000
    await flows.ledger.transition(flows.tenant, "f1", Status.RUNNING, status_epoch=1, events=[])
    assert await commands.execute(["TTL", keys.flow(flows.tenant, "f1")]) <= TTL_SECONDS


async def test_a_flow_that_waits_for_ever_lives_on_whenever_it_is_looked_at(gateway):
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    await flows.ledger.create(flows.tenant, a_launch())
    await wait(flows)
    kept = [keys.flow(flows.tenant, "f1"), keys.log(flows.tenant, "f1"), keys.due(flows.tenant)]
    for key in kept:
        await commands.execute(["EXPIRE", key, 60])
    await flows.ledger.reschedule(flows.tenant, "f1", 1000)
    for key in kept:
        assert await commands.execute(["TTL", key]) >= TTL_SECONDS


async def test_who_is_to_be_told_is_in_the_outbox_from_the_launch_on(gateway):
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    await flows.ledger.create(flows.tenant, a_launch())
    await flows.ledger.create(flows.tenant, a_launch("f2", webhooks={"url": "https://a.example"}))
    assert await commands.execute(["ZRANGE", keys.outbox(flows.tenant), 0, -1]) == ["f2"]


async def test_money_is_counted_on_redis_day_whatever_the_workers_clock_says(gateway):
    await money_is_counted_on_redis_day(gateway, FOLDER)


async def money_is_counted_on_redis_day(gateway, lua_folder: Path) -> None:
    """A worker whose clock is a day off asks twice, once."""
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)

    def a_day_late() -> int:
        return time.time_ns() // 1_000_000 - DAY_MS

    wrong = FlowScripts(commands, TTL_SECONDS, lua_folder, now_ms=a_day_late)
    book = UpstashBudgetBook(commands, TTL_SECONDS)
    book._scripts = wrong
    await flows.ledger.create(flows.tenant, a_launch())
    claim = await held(flows)
    for number in (1, 2):
        await book.reserve(a_call(claim, number))
        await book.settle(a_call(claim, number), Usage(calls=1), [])
    seconds, _ = await commands.execute(["TIME"])
    spent = await book.spending(flows.tenant, date(int(seconds) * 1000))
    assert [of.usage for of in spent] == [Usage(calls=2)]
    found = await commands.execute(["KEYS", keys.spend(flows.tenant, "*")])
    assert len(found) == 1


async def test_a_script_that_the_server_forgot_is_sent_again(gateway):
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    await flows.ledger.create(flows.tenant, a_launch())
    await commands.execute(["SCRIPT", "FLUSH"])
    assert await flows.ledger.create(flows.tenant, a_launch("f2")) is True


def calls(valkey) -> dict[str, int]:
    """How often each command ran, from the server's own count."""
    with socket.create_connection(valkey) as connection:
        connection.sendall(b"INFO commandstats\r\nPING\r\n")
        text = b""
        while not text.endswith(b"+PONG\r\n"):
            text += connection.recv(65536)
    lines = [line.split(":") for line in text.decode().splitlines() if line.startswith("cmdstat_")]
    return {name.removeprefix("cmdstat_"): int(v.split(",")[0].split("=")[1]) for name, v in lines}


async def test_what_each_operation_costs_in_billed_commands(gateway, valkey):
    """Every command counts, those of a script and the EVALSHA around them."""
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)
    tenant, ledger, budgets = flows.tenant, flows.ledger, flows.budgets
    await a_whole_flow(flows)  # all scripts are known now

    async def counted(call) -> dict[str, int]:
        before = calls(valkey)
        await call
        after = calls(valkey)
        changed = {name: after[name] - before.get(name, 0) for name in after}
        return {n: c for n, c in changed.items() if c and n not in ("info", "ping")}

    def write(events: int, **more: int) -> dict[str, int]:
        """A script that reads, takes the time, appends, publishes and sets."""
        return {"evalsha": 1, "hmget": 1, "time": 1, "xadd": events, "publish": 1, "hset": 1} | more

    whole = {"evalsha": 1, "hgetall": 1}
    x = events.custom("x", 1)
    due = {"zadd": 1}
    await counted(ledger.create(tenant, a_launch("warm")))
    created = await counted(ledger.create(tenant, a_launch()))
    registered = {"time": 1, "zadd": 1, "zremrangebyscore": 1, "expire": 2}
    assert created == registered | {"evalsha": 2, "hget": 1}  # "f1" is there
    created = await counted(ledger.create(tenant, a_launch("f2")))
    assert sum(created.values()) == 20
    step = (await ledger.state(tenant, "f2")).steps[0]
    claim = Claim(tenant, "f2", "one", 1)
    assert await counted(flows.log.head(tenant, "f2")) == {"hmget": 1}
    assert await counted(
        ledger.claim(tenant, "f2", step, owner="w", lease_ms=1, events=x)
    ) == write(2, **due)
    assert await counted(ledger.emit(claim, 1, 1, StepWrite(x))) == write(1)
    assert await counted(ledger.emit(claim, 2, 1, StepWrite())) == {
        "evalsha": 1, "hmget": 1, "time": 1, "hset": 1,
    }  # fmt: skip
    assert await counted(ledger.emit(claim, 3, 1, StepWrite(x, error="e"))) == write(2)
    assert await counted(budgets.reserve(a_call(claim, 1))) == {"evalsha": 1, "hmget": 1, "hset": 1}
    await used(
        flows, claim, 2
    )  # the first call of a day's model, crew and task sets a time to live
    settle = budgets.settle(a_call(claim, 1), Usage(calls=1), x)
    assert await counted(settle) == write(2, hmget=2, hset=2)
    await budgets.reserve(a_call(claim, 3))
    await asyncio.sleep(0.01)
    step = (await ledger.state(tenant, "f2")).steps[0]
    again = ledger.claim(tenant, "f2", step, owner="w2", lease_ms=60_000, events=x)
    assert await counted(again) == write(2, hmget=2, hset=2, **due)
    claim = Claim(tenant, "f2", "one", 2)
    new = (Step("four", "Four", "worker"),)
    assert await counted(ledger.add_steps(tenant, "f2", new)) == whole | {
        "time": 1, "xadd": 1, "publish": 1, "hset": 1,
    }  # fmt: skip
    assert await counted(ledger.add_steps(tenant, "f2", new)) == whole
    assert await counted(ledger.reschedule(tenant, "f2", 1)) == {
        "evalsha": 1, "hmget": 1, "time": 1, "zadd": 1,
    }  # fmt: skip
    assert await counted(ledger.commit(claim, 1, {"output": 1}, StepWrite(x))) == whole | {
        "time": 1, "xadd": 2, "publish": 1, "hset": 1, "zadd": 1,
    }  # fmt: skip
    end = ledger.transition(tenant, "f2", Status.SUCCEEDED, status_epoch=0, events=x)
    assert await counted(end) == write(2, zrem=1)
    taken = {"evalsha": 1, "time": 1, "zrange": 1}
    assert await counted(ledger.take(tenant, 10, 60_000)) == taken | due
    assert await counted(ledger.take(tenant, 10, 60_000)) == taken

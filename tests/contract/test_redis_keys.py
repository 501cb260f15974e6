"""What the Redis adapters leave behind, and that they keep within one slot of a cluster."""

import asyncio
import time

import pytest

from core.adapters.upstash.calls import FOLDER, SCRIPTS
from core.adapters.upstash.commands import CommandError
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.log import UpstashFlowLog
from core.costs.trials import Arm
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, StepWrite
from core.crews.trials import record_feedback
from core.flows import Status, Step, events
from tests.fixtures_ports import Flows, a_launch, over_redis, own_keys
from tests.trial_parts import a_trial, failed, in_arm, one_more

TTL_SECONDS = 1.0


async def a_whole_flow(flows: Flows) -> None:
    """Every operation of the ports once."""
    await flows.ledger.create(flows.tenant, a_launch(webhooks={"url": "https://example.com"}))
    await flows.ledger.announce_start(flows.tenant, "f1", events.starting())
    await flows.ledger.lease(1, 1, 1)
    released = await held(flows)
    await flows.ledger.release(released, 1, StepWrite(), delay_ms=0, reason="stops")
    claim = await held(flows)
    for seq in range(1, 40):
        await flows.ledger.emit(claim, seq, 1000, StepWrite(events.custom("x", 1), error="e"))
    await used(flows, claim, 1)
    await flows.calls.reserve(a_call(claim, 2))
    state = await flows.ledger.state(flows.tenant, "f1")
    await flows.ledger.add_steps(flows.tenant, state, (Step("four", "Four", "worker"),))
    await flows.ledger.record_failure(flows.tenant, "f1")
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
    await flows.ledger.create(flows.tenant, a_launch("f2", webhooks={"url": "https://e.com"}))
    await flows.ledger.transition(
        flows.tenant, "f2", Status.CANCELLED, status_epoch=0, events=[], error="e"
    )
    await flows.ledger.delete(flows.tenant, "f2")
    await a_whole_trial(flows)


async def a_whole_trial(flows: Flows) -> None:
    trial = await flows.trials.start(flows.tenant, a_trial())
    await failed(flows, await in_arm(flows, trial, Arm.CHEAPER))
    state = await one_more(flows, trial, Arm.IN_USE, 1.0)
    await record_feedback(flows.trials, flows.tenant, state, good=True)
    await flows.trials.stop(flows.tenant, trial.id)
    await flows.trials.choose(flows.tenant, "example", "one", "m")
    await flows.trials.overrides(flows.tenant)


async def held(flows: Flows, flow: str = "f1") -> Claim:
    step = (await flows.ledger.state(flows.tenant, flow)).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, flow, step, owner="w", lease_ms=1000, events=events.step_started("one", 1)
    )
    assert isinstance(claim, Claim)
    return claim


def a_call(claim: Claim, number: int) -> Call:
    usage = Usage(calls=1)
    return Call(claim.tenant, claim.flow, claim.step, claim.epoch, number, "m", "c", "t", usage)


async def used(flows: Flows, claim: Claim, number: int) -> None:
    await flows.calls.reserve(a_call(claim, number))
    await flows.calls.settle(a_call(claim, number), Usage(calls=1), events.custom("x", 1))


async def wait(flows: Flows) -> None:
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=0, events=[], waiting={"name": "review"}
    )


async def test_every_operation_of_a_partition_stays_within_one_slot(cluster_gateway):
    rest = cluster_gateway
    commands = HttpRedis(rest.url, rest.token)
    keys = Keyspace(partitions=16)
    apart = next(f"t{n}" for n in range(99) if keys.tag(f"t{n}") != keys.tag("a"))
    with pytest.raises(CommandError, match="CROSSSLOT"):  # the server does mind
        await commands.execute(["MGET", keys.flow("a", "f"), keys.flow(apart, "f")])
    for _ in range(3):
        await a_whole_flow(over_redis(commands, rest.url, rest.token, keys=keys))


async def test_partitions_are_looked_at_together(gateway):
    keys = Keyspace(partitions=4, prefix=own_keys().prefix)
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token, keys=keys)
    tenants = [f"t{number}" for number in range(12)]
    assert len({keys.tag(tenant) for tenant in tenants}) == 4
    for tenant in tenants:
        await flows.ledger.create(tenant, a_launch())
    taken = [await flows.ledger.lease(5, 1, 60_000) for _ in range(3)]
    assert [each.next_ms == 0 for each in taken] == [True, True, False]
    assert sorted(flow for each in taken for flow in each.items) == sorted(
        (tenant, "f1") for tenant in tenants
    )


@pytest.fixture
def short(gateway) -> Flows:
    """Flows that are kept for a second after their end."""
    commands = HttpRedis(gateway.url, gateway.token)
    return over_redis(
        commands, gateway.url, gateway.token, keys=own_keys(), ttl_seconds=TTL_SECONDS
    )


@pytest.fixture
async def ttls(gateway, short: Flows):
    """The seconds to live of every key, by its name's last parts; -1: for ever."""
    commands = HttpRedis(gateway.url, gateway.token)
    tag = short.keys.tag(short.tenant)

    async def found() -> dict[str, float]:
        keys = await commands.execute(["KEYS", f"{tag}*"])
        left = await commands.pipeline([["PTTL", key] for key in keys]) if keys else []
        names = [key.removeprefix(f"{tag}:").removeprefix(f"{short.tenant}:") for key in keys]
        return {name: ms / 1000 if ms >= 0 else -1 for name, ms in zip(names, left, strict=True)}

    return found


async def ended(flows: Flows, flow: str, epoch: int = 0) -> None:
    await flows.ledger.transition(
        flows.tenant, flow, Status.FAILED, status_epoch=epoch, events=events.run_error("x", "y")
    )


async def test_nothing_that_lives_has_a_time_to_live_and_all_that_has_ended_has_one(short, ttls):
    await short.ledger.create(short.tenant, a_launch("f1", webhooks={"url": "https://a.example"}))
    await short.ledger.create(short.tenant, a_launch("f2"))
    await used(short, await held(short, "f2"), 1)
    live = await ttls()
    days = [name for name in live if name.startswith("spend:")]
    assert all(live.pop(name) > 399 * 86_400 for name in days)
    assert set(live.values()) == {-1}
    await ended(short, "f2")
    left = await ttls()
    assert 0 < left["flow:f2"] <= TTL_SECONDS
    assert 0 < left["log:f2"] <= TTL_SECONDS
    assert {name for name, seconds in left.items() if seconds == -1} == live.keys() - {
        "flow:f2",
        "log:f2",
    }


async def test_nothing_is_left_of_flows_that_have_expired(short, ttls):
    for number in range(250):  # more than one look forgets
        await short.ledger.create(short.tenant, a_launch(f"f{number}"))
        await ended(short, f"f{number}")
    await asyncio.sleep(TTL_SECONDS * 1.1)
    for _ in range(4):
        assert (await short.ledger.lease(1, 1, 1000)).items == []
    assert await ttls() == {}


async def test_nothing_is_left_of_a_flow_that_was_deleted(short: Flows, ttls):
    await nothing_is_left_of_a_deleted_flow(short)
    await asyncio.sleep(TTL_SECONDS * 1.1)
    assert (await short.ledger.lease(1, 1, 1000)).items == []
    assert await ttls() == {}


async def nothing_is_left_of_a_deleted_flow(flows: Flows) -> None:
    """But for what the tenant's next look forgets. The webhooks of one flow are being sent."""
    assert isinstance(flows.log, UpstashFlowLog)
    for flow in ("f1", "f2"):
        await flows.ledger.create(flows.tenant, a_launch(flow, webhooks={"url": "https://a.de"}))
    await flows.outbox.lease(1, 1, 60_000)
    for flow in ("f1", "f2"):
        await ended(flows, flow)
        await flows.ledger.delete(flows.tenant, flow)
    assert (await flows.outbox.lease(1, 1, 1000)).items == []
    keys, tag = flows.keys, flows.keys.tag(flows.tenant)
    left = await flows.log._redis.execute(["KEYS", f"{tag}*"])
    assert set(left) == {keys.due_index(tag), keys.definitions(flows.tenant)}


async def test_flows_that_live_longer_than_flows_are_kept_lose_nothing(short):
    """Steps that only beat, or write much; a person who takes longer than the time to live."""
    for flow in ("beats", "writes", "waits"):
        await short.ledger.create(short.tenant, a_launch(flow))
    beats, writes = await held(short, "beats"), await held(short, "writes")
    await short.ledger.transition(
        short.tenant, "waits", Status.WAITING, status_epoch=0, events=[], waiting={"name": "r"}
    )
    for seq in range(1, 12):
        await short.ledger.emit(beats, seq, 1000, StepWrite())
        for part in range(4):
            write = StepWrite(events.custom("x", 1))
            await short.ledger.emit(writes, 4 * seq + part, 1000, write)
        await asyncio.sleep(TTL_SECONDS / 5)
        await short.ledger.lease(10, 10, 100)
    await short.ledger.create(short.tenant, a_launch("later"))
    listed = await short.log.recent(short.tenant, 10)
    assert [summary.id for summary in listed] == ["later", "waits", "writes", "beats"]
    assert len(await short.log.entries(short.tenant, "writes", 0, 1000)) > 40
    await asyncio.sleep(1.2)  # the leases are over
    taken = await short.ledger.lease(10, 10, 1000)
    assert {flow for _, flow in taken.items} == {"beats", "writes", "later"}
    await ended(short, "waits", epoch=1)
    assert (await short.ledger.state(short.tenant, "waits")).definition == {"name": "example"}


async def test_what_ended_is_kept_from_its_end_on(short, ttls):
    await short.ledger.create(short.tenant, a_launch())
    await asyncio.sleep(TTL_SECONDS * 0.7)
    await ended(short, "f1")
    assert (await ttls())["flow:f1"] > TTL_SECONDS * 0.8


async def test_webhooks_are_due_from_the_launch_on_and_at_every_turn(gateway):
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token, keys=own_keys())
    outbox = flows.keys.outbox(flows.tenant)
    index = flows.keys.outbox_index(flows.keys.tag(flows.tenant))
    await flows.ledger.create(flows.tenant, a_launch())
    await flows.ledger.create(flows.tenant, a_launch("f2", webhooks={"url": "https://a.example"}))
    assert await commands.execute(["ZRANGE", outbox, 0, -1]) == ["f2"]
    for moved, epoch in ((Status.WAITING, 0), (Status.RUNNING, 1), (Status.CANCELLED, 2)):
        await commands.execute(["ZADD", outbox, 9e12, "f2"])
        await commands.execute(["ZADD", index, 9e12, flows.tenant])
        await flows.ledger.transition(flows.tenant, "f2", moved, status_epoch=epoch, events=[])
        now = time.time() * 1000
        assert float(await commands.execute(["ZSCORE", outbox, "f2"])) == pytest.approx(
            now, abs=5000
        )
        assert float(await commands.execute(["ZSCORE", index, flows.tenant])) < now + 5000


async def test_a_script_that_the_server_forgot_is_sent_again(gateway):
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    await flows.ledger.create(flows.tenant, a_launch())
    await commands.execute(["SCRIPT", "FLUSH"])
    assert await flows.ledger.create(flows.tenant, a_launch("f2")) is True


def test_every_script_has_a_signature():
    shared = {"prelude", "flow", "money", "accounts", "budgets", "waits", "due", "feedback"}
    shared |= {"trials"}
    assert {path.stem for path in FOLDER.glob("*.lua")} == shared | SCRIPTS.keys()

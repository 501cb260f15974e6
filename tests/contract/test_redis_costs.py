"""What operations cost: commands as Upstash bills them, and bytes over the wire."""

import json
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Command
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.ledger import UpstashRunLedger
from core.costs.budget import MOST_STATES, Budget, Scope
from core.costs.usage import Usage
from core.costs.windows import Window
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, StepWrite
from core.errors import TooLargeError
from core.flows import Flow, Status, Step, events
from tests.fixtures_ports import Flows, a_launch, in_turns, over_redis, own_keys, whole_log

LEASE_MS = 30_000
X = events.custom("x", 1)


def calls(valkey: Any) -> dict[str, int]:
    """How often each command ran, from the server's own count."""
    with socket.create_connection(valkey) as connection:
        connection.sendall(b"INFO commandstats\r\nPING\r\n")
        text = b""
        while not text.endswith(b"+PONG\r\n"):
            text += connection.recv(65536)
    lines = [line.split(":") for line in text.decode().splitlines() if line.startswith("cmdstat_")]
    return {name.removeprefix("cmdstat_"): int(v.split(",")[0].split("=")[1]) for name, v in lines}


class Wire:
    """The real client, which notes the size of each request and reply."""

    def __init__(self, redis: HttpRedis) -> None:
        self._redis = redis
        self.sizes: list[int] = []

    async def execute(self, command: Command) -> Any:
        reply = await self._redis.execute(command)
        self._note(command, reply)
        return reply

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        reply = await self._redis.pipeline(commands)
        self._note(commands, reply)
        return reply

    def _note(self, *sent: Any) -> None:
        self.sizes.append(sum(len(json.dumps(each, ensure_ascii=False).encode()) for each in sent))


@pytest.fixture
def wire(gateway) -> Wire:
    return Wire(HttpRedis(gateway.url, gateway.token))


@pytest.fixture
def flows(gateway, wire) -> Flows:
    return over_redis(wire, gateway.url, gateway.token, keys=own_keys())


async def claimed(flows: Flows, state: Flow, step: str) -> Claim:
    seen = next(each for each in state.steps if each.id == step)
    claim = await flows.ledger.claim(
        flows.tenant, state.id, seen, owner=step, lease_ms=LEASE_MS, events=X,
        seen=state.head.version,
    )  # fmt: skip
    assert isinstance(claim, Claim)
    return claim


async def ended(flows: Flows, flow: str, **changes: Any) -> None:
    given: dict[str, Any] = {"status_epoch": 0, "events": X}
    await flows.ledger.transition(flows.tenant, flow, Status.SUCCEEDED, **given | changes)


async def test_what_each_operation_costs_in_billed_commands(flows, valkey):
    """Every command counts, those of a script and the EVALSHA around them."""
    tenant, ledger, called = flows.tenant, flows.ledger, flows.calls

    async def cost(call: Any) -> tuple[int, Any]:
        before = calls(valkey)
        reply = await call
        after = calls(valkey)
        changed = {name: after[name] - before.get(name, 0) for name in after}
        return sum(c for n, c in changed.items() if n not in ("info", "ping")), reply

    async def a_flow(flow: str) -> dict[str, int]:
        spent: dict[str, int] = {}
        spent["create"], _ = await cost(ledger.create(tenant, a_launch(flow)))
        spent["take"], taken = await cost(ledger.lease(10, 10, LEASE_MS))
        assert taken.items == [(tenant, flow)]
        spent["look"], _ = await cost(ledger.lease(10, 10, LEASE_MS))
        spent["state"], state = await cost(ledger.state(tenant, flow))
        spent["head"], _ = await cost(flows.log.head(tenant, flow))
        spent["claim"], claim = await cost(claimed(flows, state, "one"))
        spent["beat"], _ = await cost(ledger.emit(claim, 1, LEASE_MS, StepWrite()))
        spent["emit"], _ = await cost(ledger.emit(claim, 2, LEASE_MS, StepWrite([*X, *X])))
        call = Call(tenant, flow, "one", 1, 1, "m", "c", "t", Usage(calls=1))
        spent["reserve"], _ = await cost(called.reserve(call))
        spent["settle"], _ = await cost(called.settle(call, Usage(calls=1), X))
        spent["commit"], state = await cost(
            ledger.commit(claim, 3, {"output": 1}, StepWrite(X), state)
        )
        new = (Step("four", "Four", "worker"),)
        spent["add_steps"], _ = await cost(ledger.add_steps(tenant, state, new))
        spent["reschedule"], _ = await cost(ledger.reschedule(tenant, flow, 60_000))
        claim = await claimed(flows, state, "two")
        spent["release"], _ = await cost(
            ledger.release(claim, 1, StepWrite(), delay_ms=0, reason="stops")
        )
        spent["end"], _ = await cost(ended(flows, flow))
        return spent

    await a_flow("f1")  # all scripts are known now, and the definition
    spent = await a_flow("f2")
    most = {
        "create": 9, "take": 7, "look": 2, "state": 1, "head": 1, "claim": 7, "beat": 4, "emit": 6,
        "reserve": 4, "settle": 10, "commit": 6, "add_steps": 6, "reschedule": 5, "release": 9,
        "end": 14,  # of a flow with a step that is put off: one is for its journal
    }  # fmt: skip
    assert {name: count for name, count in spent.items() if count > most[name]} == {}


async def test_a_call_that_counts_in_two_budgets_costs_twenty_commands_at_most(flows, valkey):
    for window in (Window.DAY, Window.MONTH):
        await flows.budgets.save(flows.tenant, Budget(window, Scope.TENANT, window, 10**9))
    await flows.ledger.create(flows.tenant, a_launch(time_limit_ms=60_000))
    state = await flows.ledger.state(flows.tenant, "f1")
    claim = await claimed(flows, state, "one")
    for number in (1, 2):  # at the second, all is there
        before = calls(valkey)
        call = Call(claim.tenant, "f1", "one", 1, number, "m", "c", "t", Usage(1, 1, 1, 1000))
        assert await flows.calls.reserve(call) is None
        await flows.calls.settle(call, Usage(1, 1, 1, 900), X)
    after = calls(valkey)
    found = (await flows.budgets.all(flows.tenant)).states
    assert [each.spent_nanodollars for each in found] == [1800, 1800]
    assert sum(after.values()) - sum(before.values()) <= 20 + 2  # INFO and PING are two of them


async def test_what_budgets_have_spent_is_read_of_the_present_day_alone(flows, wire):
    today, users = datetime.now(UTC).date().isoformat(), range(300)
    await flows.budgets.save(flows.tenant, Budget("u", Scope.SUBJECT, Window.DAY, 9))
    state = '{"spent":1,"held":0,"told":0,"limit":9}'
    for day in (today, *(f"2000-01-{n:02}" for n in range(1, 32))):
        fields = [text for user in users for text in (f"u|{day}|s{user}", state)]
        await wire.execute(["HSET", flows.keys.budgets(flows.tenant, today[:7]), *fields])
    wire.sizes.clear()
    assert len((await flows.budgets.all(flows.tenant)).states) == MOST_STATES
    assert sum(wire.sizes) < 100 * len(users) * 2


async def test_a_look_costs_the_same_at_any_number_of_tenants(flows, valkey):
    """Of which none has anything due: two commands, a thousand tenants or one."""
    launch = a_launch(definition={"name": "x"})
    await in_turns([flows.ledger.create(f"t{n}", launch) for n in range(1000)])
    while (await flows.ledger.lease(1000, 1, 600_000)).next_ms == 0:
        pass
    before = calls(valkey)
    assert (await flows.ledger.lease(10, 1, 600_000)).items == []
    after = calls(valkey)
    assert sum(after.values()) - sum(before.values()) <= 4  # INFO and PING are two of them


async def test_tenants_whose_flows_have_ended_cost_no_look(flows, valkey):
    """Not even one: the end itself says that nothing is left to do for them."""
    for number in range(20):
        tenant = f"t{number}"
        await flows.ledger.create(tenant, a_launch("f1"))
        await ended(replace(flows, tenant=tenant), "f1")
    before = calls(valkey)
    taken = await flows.ledger.lease(10, 1, 600_000)
    after = calls(valkey)
    assert taken.items == []
    assert taken.next_ms is not None
    assert taken.next_ms > LEASE_MS
    assert sum(after.values()) - sum(before.values()) <= 4  # INFO and PING are two of them


async def a_step(flows: Flows, wire: Wire, count: int) -> int:
    """Bytes of a step in the middle of a flow of so many, with results of 5 kB."""
    steps = tuple(Step(f"s{n}", f"S{n}", "worker") for n in range(count))
    definition = {"name": "example", "text": "x" * 100 * count}
    launch = a_launch(f"f{count}", steps=steps, definition=definition, definition_digest=str(count))
    await flows.ledger.create(flows.tenant, launch)
    state, size = await flows.ledger.state(flows.tenant, launch.flow), 0
    for number in range(count - 1):
        wire.sizes.clear()
        claim = await claimed(flows, state, f"s{number}")
        result = {"output": "x" * 5000}
        state = await flows.ledger.commit(claim, 1, result, StepWrite(X), state)
        size = sum(wire.sizes)
    assert state == await flows.ledger.state(flows.tenant, launch.flow)
    return size


async def test_a_step_costs_the_same_in_a_long_flow_as_in_a_short_one(flows, wire):
    assert await a_step(flows, wire, 150) < 1.3 * await a_step(flows, wire, 10)


async def test_a_worker_that_has_missed_much_reads_the_whole_state(flows):
    """As is not told any more what has changed since."""
    steps = tuple(Step(f"s{n}", f"S{n}", "worker") for n in range(100))
    await flows.ledger.create(flows.tenant, a_launch(steps=steps))
    state = first = await flows.ledger.state(flows.tenant, "f1")
    slow = await claimed(flows, state, "s0")
    for number in range(1, 60):
        claim = await claimed(flows, state, f"s{number}")
        state = await flows.ledger.commit(claim, 1, {"output": number}, StepWrite(), state)
    after = await flows.ledger.commit(slow, 1, {"output": 0}, StepWrite(), first)
    assert after == await flows.ledger.state(flows.tenant, "f1")
    assert len(after.results) == 60


async def run_through(flows: Flows, flow: str, value: dict[str, str]) -> None:
    """Have a flow whose step, wait and end all bring this value."""
    tenant, ledger = flows.tenant, flows.ledger
    await ledger.create(tenant, a_launch(flow))
    state = await ledger.state(tenant, flow)
    claim = await claimed(flows, state, "one")
    await ledger.commit(claim, 1, value, StepWrite(events.step_finished("one")), state)
    told = events.stamped(events.custom("waiting", value), 1)
    await ledger.transition(
        tenant, flow, Status.WAITING, status_epoch=0, events=told, waiting=value
    )
    await ledger.transition(tenant, flow, Status.RUNNING, status_epoch=1, events=[])
    await ended(flows, flow, status_epoch=2, events=events.run_finished(flow, value), output=value)


async def test_a_large_value_is_in_a_request_once(flows, wire):
    """Half of it quotes and half CJK, which are longer where a text stands in a text."""
    large = {"text": '"\u4e2d' * 100_000}
    once = len(json.dumps(json.dumps(large, ensure_ascii=False), ensure_ascii=False).encode())
    await run_through(flows, "f0", {})  # a server that does not know a script yet is sent it
    wire.sizes.clear()
    await run_through(flows, "f1", large)
    assert all(size < once * 1.02 + 4000 for size in wire.sizes)
    state = await flows.ledger.state(flows.tenant, "f1")
    assert state.output == state.results["one"] == large
    log = await whole_log(flows)
    assert json.loads(log[-1].json)["result"] == large
    assert [json.loads(each.json)["value"] for each in log if '"waiting"' in each.json[:40]] == [
        large
    ]


async def test_what_is_larger_than_the_store_takes_is_refused_in_words_before_it_is_sent(
    flows, wire
):
    ledger = UpstashRunLedger(wire, 3600, flows.keys, ScriptRunner(wire, max_bytes=100_000))
    await ledger.create(flows.tenant, a_launch())
    state = await ledger.state(flows.tenant, "f1")
    claim = await claimed(flows, state, "one")
    wire.sizes.clear()
    large = {"output": "\u4e2d" * 40_000}
    with pytest.raises(TooLargeError, match=r"the result is 12\d,\d{3} bytes; at most 100,000"):
        await ledger.commit(claim, 1, large, StepWrite(), state)
    with pytest.raises(TooLargeError, match="what the step emits is"):
        await ledger.emit(claim, 1, LEASE_MS, StepWrite(events.custom("x", large)))
    with pytest.raises(TooLargeError, match="the output is"):
        await ledger.transition(
            flows.tenant, "f1", Status.SUCCEEDED, status_epoch=0, events=[], output=large
        )
    assert wire.sizes == []


async def test_a_flow_of_thousands_of_steps_is_driven_again(flows):
    """More values than one command of a script takes."""
    steps = tuple(Step(f"s{n}", "S", "w", state="done", epoch=1) for n in range(5000))
    results = {step.id: {"output": 1} for step in steps}
    await flows.ledger.create(flows.tenant, a_launch(steps=steps, results=results))
    state = await flows.ledger.state(flows.tenant, "f1")
    assert len(state.results) == 5000
    more = tuple(Step(f"m{n}", "M", "w") for n in range(3000))
    state = await flows.ledger.add_steps(flows.tenant, state, more)
    assert len(state.steps) == 8000
    claim = await claimed(flows, state, "m0")
    batch = [event for n in range(3000) for event in events.custom("x", n)]
    await flows.ledger.emit(claim, 1, LEASE_MS, StepWrite(batch))
    log = await whole_log(flows)
    assert [entry.number for entry in log] == list(range(1, 3006))
    page = await flows.log.entries(flows.tenant, "f1", 1000, 3)
    assert [entry.number for entry in page] == [1001, 1002, 1003]

"""Eight writers on one flow, a fifth of all replies lost after execution, every write sent again."""

import asyncio
import json

import pytest

from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.sdk import SdkRedis
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, StepWrite
from core.errors import UnavailableError
from core.flows import Flow, Step, events
from tests.faulty import a_share_dropped, faulty
from tests.fixtures_ports import Flows, a_launch, over_redis

WRITERS, WRITES, SHARE = 8, 20, 0.2


async def insist(call):
    """A caller that asks again also when the patient client has given up."""
    while True:
        try:
            return await call()
        except UnavailableError:
            await asyncio.sleep(0.01)


async def a_writer(flows: Flows, step: Step) -> Flow:
    claim = await insist(
        lambda: flows.ledger.claim(
            flows.tenant, "f1", step, owner=step.id, lease_ms=60_000,
            events=events.step_started(step.id, 1),
        )
    )  # fmt: skip
    assert isinstance(claim, Claim)
    for seq in range(1, WRITES + 1):
        write = StepWrite(events.custom(step.id, seq))
        await insist(lambda seq=seq, write=write: flows.ledger.emit(claim, seq, 60_000, write))
        await use(flows, claim, seq)
    done = StepWrite(events.step_finished(step.id))
    return await insist(lambda: flows.ledger.commit(claim, WRITES + 1, {"output": step.id}, done))


async def use(flows: Flows, claim: Claim, number: int) -> None:
    call = Call(
        claim.tenant, claim.flow, claim.step, claim.epoch, number, "m", "c", "t", Usage(calls=9)
    )
    await insist(lambda: flows.calls.reserve(call))
    await insist(lambda: flows.calls.settle(call, Usage(calls=1), []))


@pytest.mark.parametrize("client", [HttpRedis, SdkRedis])
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_event_is_there_once_with_contiguous_numbers(client, seed: int, gateway):
    print("seed", seed)
    steps = tuple(Step(f"s{i}", "", "") for i in range(WRITERS))
    async with faulty(gateway.url, a_share_dropped(SHARE, seed)) as url:
        flows = over_redis(client(url, gateway.token), gateway.url, gateway.token)
        await insist(lambda: flows.ledger.create(flows.tenant, a_launch(steps=steps)))
        await asyncio.gather(*(a_writer(flows, step) for step in steps))
        state = await insist(lambda: flows.ledger.state(flows.tenant, "f1"))
        entries = await insist(lambda: flows.log.entries(flows.tenant, "f1", 0, 10_000))
    total = 2 + WRITERS * (2 + 2 * WRITES + 2)  # each write, and each call
    assert [entry.number for entry in entries] == list(range(1, total + 1))
    assert (state.head.last_event, state.usage.calls) == (total, WRITERS * WRITES)
    assert {step.state for step in state.steps} == {"done"}
    written = [json.loads(entry.json) for entry in entries]
    for step in steps:
        assert [e["value"] for e in written if e.get("name") == step.id] == [*range(1, WRITES + 1)]

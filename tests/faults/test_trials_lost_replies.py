"""A trial while workers die and a fifth of all replies is lost: each flow's task counts once, in its arm."""

import asyncio

import pytest

from core.adapters.upstash.http import HttpRedis
from core.costs.model_choices import arm_of
from core.costs.trials import Arm, Signal
from core.crews.ledger import Claim, FencedError, StepWrite
from core.crews.trials import record_feedback
from core.flows import Flow
from tests.faults.test_lost_replies import SHARE, insist
from tests.faulty import a_share_dropped, faulty
from tests.fixtures_ports import Flows, over_redis, own_keys
from tests.trial_parts import a_trial, failed, launch_of, outcome, state_of, tallies, the_trial

FLOWS = 24


async def claimed(flows: Flows, state: Flow, owner: str, lease_ms: int) -> Claim:
    """Claim the first step as soon as nobody holds it; a claim whose reply is lost is claimed again."""
    while True:
        step = (await insist(lambda: state_of(flows, state.id))).steps[0]
        found = await insist(
            lambda step=step: flows.ledger.claim(
                flows.tenant, state.id, step, owner=owner, lease_ms=lease_ms, events=[]
            )
        )
        if isinstance(found, Claim):
            return found
        await asyncio.sleep(found.remaining_ms / 1000)


async def committed(flows: Flows, claim: Claim, state: Flow) -> None:
    write = StepWrite(outcome=outcome(state, 1.0))
    await insist(lambda: flows.ledger.commit(claim, 1, {"output": "x"}, write))


async def run(flows: Flows, number: int) -> Flow:
    """Run a flow: its first worker dies and comes back too late; every third fails at the task."""
    name = f"f{number}"
    await insist(lambda: flows.ledger.create(flows.tenant, launch_of(name)))
    state = await insist(lambda: state_of(flows, name))
    dead = await claimed(flows, state, "dead", lease_ms=1)
    await asyncio.sleep(0.002)
    alive = await claimed(flows, state, "alive", lease_ms=60_000)
    again = await insist(lambda: state_of(flows, name))
    assert again.models == state.models
    if number % 3 == 0:
        await insist(lambda: failed(flows, again))
    else:
        await committed(flows, alive, again)
    with pytest.raises(FencedError):
        await committed(flows, dead, again)
    await insist(lambda: record_feedback(flows.trials, flows.tenant, again, good=number % 2 == 0))
    return again


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_task_counts_once_in_its_arm_whoever_dies_and_whatever_is_sent_again(
    gateway, seed: int
):
    async with faulty(gateway.url, a_share_dropped(SHARE, seed)) as url:
        flows = over_redis(
            HttpRedis(url, gateway.token), gateway.url, gateway.token, keys=own_keys()
        )
        trial = a_trial(share=0.4)
        await insist(lambda: flows.trials.start(flows.tenant, trial))
        await asyncio.gather(*(run(flows, number) for number in range(FLOWS)))
        found = await insist(lambda: the_trial(flows))
    of_arms = {
        arm: [n for n in range(FLOWS) if arm_of(trial.run, f"f{n}", 0.4) is arm] for arm in Arm
    }
    assert found.ended_ms is None
    assert tallies(found) == [
        (len(of_arms[arm]), sum(n % 3 != 0 for n in of_arms[arm])) for arm in Arm
    ]
    assert tallies(found, Signal.PEOPLE) == [
        (len(of_arms[arm]), sum(n % 2 == 0 for n in of_arms[arm])) for arm in Arm
    ]

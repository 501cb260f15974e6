"""A trial whose model in use is changed meanwhile: it ends, and what another model did counts in nothing."""

import pytest

from core.costs.trials import Arm, Verdict
from tests.fixtures_ports import Flows
from tests.trial_parts import a_trial, claimed, committed, failed, in_arm, tallies, the_trial


@pytest.mark.parametrize("tells", ["the answer", "the failure"])
async def test_a_trial_ends_where_the_model_in_use_is_another_one_now(flows: Flows, tells: str):
    trial = await flows.trials.start(flows.tenant, a_trial())
    by_small = await in_arm(flows, trial, Arm.CHEAPER)
    await committed(flows, await claimed(flows, by_small), deployed="openai/other")
    by_large = await in_arm(flows, trial, Arm.IN_USE)
    await committed(flows, await claimed(flows, by_large), deployed="openai/large")
    assert tallies(await the_trial(flows)) == [(1, 1), (1, 1)]
    state = await in_arm(flows, trial, Arm.IN_USE)
    if tells == "the answer":
        await committed(flows, await claimed(flows, state), deployed="openai/other")
    else:
        await failed(flows, state, deployed="openai/other")
    found = await the_trial(flows)
    assert (found.verdict, found.changed_to) == (Verdict.MODEL_CHANGED, "openai/other")
    assert tallies(found) == [(1, 1), (1, 1)]
    assert found.ended_ms is not None
    assert (await in_arm(flows, trial, Arm.CHEAPER)).models == {}
    await flows.trials.start(flows.tenant, a_trial(model="openai/other"))


async def test_a_model_that_the_tenant_chose_stays_in_use_whatever_the_deployment_has(flows: Flows):
    await flows.trials.choose(flows.tenant, "example", "one", "openai/large")
    trial = await flows.trials.start(flows.tenant, a_trial(), "openai/large")
    state = await in_arm(flows, trial, Arm.IN_USE)
    await committed(flows, await claimed(flows, state), deployed="openai/other")
    assert tallies(await the_trial(flows)) == [(1, 1), (0, 0)]

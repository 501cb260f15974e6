"""Of a batch of wake-ups each tenant has a share, and what was not begun is handed back to the queue."""

import asyncio
import json
from typing import Any

import pytest

from core import bootstrap
from core.adapters.memory import MemoryFlows
from core.config import WORKER_MARGIN_SECONDS, Settings
from core.crews.crew_runner import Session, StepTask
from core.crews.timing import Timing
from core.due_loop import NoPlaceError, Places, Room
from core.flows import Status
from functions import crew_worker
from tests.contract.test_sqs import CREW, ENVIRON, STEP_SECONDS, Invocation, Steps
from tests.worker_parts import FITTING, a_worker, launched

A_WHILE = WORKER_MARGIN_SECONDS + STEP_SECONDS + 2


class Hangs(Steps):
    """Steps of tenant a take longer than an invocation."""

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        if work.tenant == "a":
            self.began.append(work.flow)
            await asyncio.sleep(60)
        return await super().run(work, session)


async def woken(flows: MemoryFlows, steps: Steps, named: list[tuple[str, str]]) -> set[str]:
    """Hand a batch that names these flows to a worker of four places; return what comes again."""
    for tenant, flow in named:
        await launched(flows, CREW, flow, tenant)
    records = [
        {"messageId": flow, "body": json.dumps({"tenant": tenant, "flow": flow})}
        for tenant, flow in named
    ]
    worker = a_worker(flows, steps, timing=Timing(3, 1, STEP_SECONDS))
    settings = Settings.from_environ(ENVIRON | {"CREWLINE_WORKER_FLOWS": "4"})
    with bootstrap.replace(worker=worker, settings=settings, store_check=FITTING):
        answer = await asyncio.to_thread(
            crew_worker.handler, {"Records": records}, Invocation(A_WHILE)
        )
    return {each["itemIdentifier"] for each in answer["batchItemFailures"]}


async def test_a_tenant_with_ten_messages_whose_steps_hang_holds_up_nobody_elses_flow():
    flows, steps = MemoryFlows(), Hangs()
    of_a = [f"a{number}" for number in range(10)]
    left = await woken(flows, steps, [*(("a", flow) for flow in of_a), ("b", "b0")])
    assert (await flows.head("b", "b0")).status is Status.SUCCEEDED
    begun = [flow for flow in steps.began if flow in of_a]
    assert len(begun) == 2  # of four places
    assert left == set(of_a) - set(begun)
    assert {(await flows.head("a", flow)).status for flow in left} == {Status.QUEUED}


async def test_what_waits_for_its_tenants_share_runs_when_there_is_a_place():
    flows, steps = MemoryFlows(), Steps()
    named = [("t", f"f{number}") for number in range(4)]
    assert await woken(flows, steps, named) == set()
    assert {(await flows.head(*each)).status for each in named} == {Status.SUCCEEDED}


async def test_who_waits_for_a_share_takes_no_place_of_the_process():
    places = Places(Room(2, 1))
    async with places.place("a", 1):
        waiting = asyncio.create_task(places.place("a", 5).__aenter__())
        await asyncio.sleep(0)
        async with places.place("b", 0.1):
            with pytest.raises(NoPlaceError):
                await places.place("c", 0.01).__aenter__()
    await waiting

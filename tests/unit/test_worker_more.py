"""Steps side by side, waiting for a person, limits of time, money, and driving a flow again."""

import asyncio
import time
from typing import Any

import pytest

from core.adapters.memory import MemoryFlows, MemorySpendingLog
from core.costs.usage import Usage
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.crew_runner import Session, StepFailedError, StepTask
from core.crews.outcomes import StepCrashedError
from core.crews.worker import TOOK_TOO_LONG
from core.errors import ConflictError, InvalidInputError
from core.flows import Flow, Status
from core.flows.values import INLINE
from tests.cells import cells_of
from tests.fixtures_ports import leased
from tests.worker_parts import BOUND, CALL, TIMING, Scripted, a_crew, a_worker, launched, log_of

SIDE_BY_SIDE = {
    "one": {"async_execution": True},
    "two": {"async_execution": True, "context": []},
}


async def run_through(memory: MemoryFlows, runner: Scripted, flow: str = "f") -> Flow:
    await a_worker(memory, runner).run_flow("t", flow, NoLimit())
    return await memory.state("t", flow)


async def test_steps_that_may_run_side_by_side_do_in_as_many_workers():
    together = asyncio.Barrier(2)

    async def meets(_work: StepTask, _session: Session) -> None:
        async with asyncio.timeout(5):
            await together.wait()

    memory, runner = MemoryFlows(), Scripted(one=meets, two=meets)
    await launched(memory, a_crew(SIDE_BY_SIDE))
    woken = 0

    async def serve() -> None:
        nonlocal woken
        while not (await memory.head("t", "f")).status.terminal:
            for flow in await leased(memory, "t"):
                woken += 1
                await a_worker(memory, runner).run_flow("t", flow, NoLimit())
            await asyncio.sleep(0.01)

    async with asyncio.timeout(10):
        await asyncio.gather(serve(), serve())
    assert sorted(runner.began) == ["one", "three", "two"]
    assert (await memory.state("t", "f")).output == "three after 2"
    assert woken >= 2


async def test_a_flow_waits_for_a_person_and_goes_on_with_what_was_approved():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory, a_crew({"two": {"human_input": True}}))
    flow = await run_through(memory, runner)
    assert flow.head.status is Status.WAITING
    assert flow.waiting is not None
    assert (flow.waiting["task"], flow.waiting["output"]) == ("two", "two after 1")
    assert await leased(memory, "t") == []  # nobody needs to look at it
    after = await FlowControl(memory, memory).resume(tenant="t", flow="f", approve=True, feedback="", review="two.review.1"
    )  # fmt: skip
    assert (after.head.status, after.waiting) == (Status.RUNNING, None)
    assert await leased(memory, "t") == ["f"]
    flow = await run_through(memory, runner)
    assert (flow.head.status, runner.began) == (Status.SUCCEEDED, ["one", "two", "three"])


async def test_feedback_has_the_task_done_again_with_it_in_mind():
    heard: list[str] = []

    def listens(work: StepTask, _session: Session) -> None:
        heard.extend([work.prompt.description, *(told.text for told in work.prompt.context)])

    memory = MemoryFlows()
    runner = Scripted(**{"two.2": listens})
    await launched(memory, a_crew({"two": {"human_input": True}}))
    await run_through(memory, runner)
    said: dict[str, Any] = {"approve": False, "feedback": "be brief", "review": "two.review.1"}
    await FlowControl(memory, memory).resume(tenant="t", flow="f", **said)
    flow = await run_through(memory, runner)
    assert flow.head.status is Status.WAITING
    assert "be brief" in "\n".join(heard)
    assert runner.began == ["one", "two", "two.2"]


async def test_an_answer_sent_again_changes_nothing_and_another_is_refused():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory, a_crew({"two": {"human_input": True}}))
    flow = await run_through(memory, runner)
    assert flow.waiting is not None
    said: dict[str, Any] = {"tenant": "t", "flow": "f", "review": flow.waiting["review"]}
    await FlowControl(memory, memory).resume(approve=True, feedback="", **said)
    head = await memory.head("t", "f")
    await FlowControl(memory, memory).resume(approve=True, feedback="", **said)
    assert await memory.head("t", "f") == head
    with pytest.raises(ConflictError):
        await FlowControl(memory, memory).resume(approve=False, feedback="no", **said)
    with pytest.raises(InvalidInputError):
        await FlowControl(memory, memory).resume(approve=False, feedback=" ", **said)


async def test_a_flow_that_waits_can_be_cancelled():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory, a_crew({"two": {"human_input": True}}))
    await run_through(memory, runner)
    flow = await FlowControl(memory, memory).cancel(tenant="t", flow="f")
    assert (flow.head.status, flow.waiting) == (Status.CANCELLED, None)


async def test_a_flow_whose_time_is_over_fails_in_the_middle_of_a_step():
    async def takes_long(_work: StepTask, _session: Session) -> None:
        await asyncio.sleep(30)

    memory, runner = MemoryFlows(), Scripted(two=takes_long)
    await launched(memory, a_crew(time_limit_seconds=1))
    async with asyncio.timeout(10):
        flow = await run_through(memory, runner)
    assert (flow.head.status, flow.error) == (Status.FAILED, TOOK_TOO_LONG)
    assert "limits.time_limit_seconds" in TOOK_TOO_LONG  # a field of crew.yaml
    assert (await log_of(memory))[-1]["code"] == "time_limit"


async def test_a_person_who_never_answers_is_waited_for_until_the_time_is_over():
    memory, runner = MemoryFlows(), Scripted()
    await launched(memory, a_crew({"one": {"human_input": True}}, time_limit_seconds=1))
    assert (await run_through(memory, runner)).head.status is Status.WAITING
    await asyncio.sleep(1)
    assert await leased(memory, "t") == ["f"]
    flow = await run_through(memory, runner)
    assert (flow.head.status, flow.waiting) == (Status.FAILED, None)


async def test_a_task_that_takes_longer_than_it_may_fails():
    async def takes_long(_work: StepTask, _session: Session) -> None:
        await asyncio.sleep(30)

    memory, runner = MemoryFlows(), Scripted(two=takes_long)
    await launched(memory, a_crew({"two": {"max_execution_time": 0.1, "retries": 1}}))
    flow = await run_through(memory, runner)
    assert flow.error == "two: it took longer than 0.1 s"
    assert runner.began == ["one", "two", "two"]


async def test_every_call_is_counted_once_and_a_lost_one_at_its_bound():
    class KilledError(Exception):
        pass

    async def dies(work: StepTask, session: Session) -> None:
        await asyncio.to_thread(session.reserve, "m", BOUND)
        if work.attempt == 1:
            raise KilledError

    memory, runner = MemoryFlows(), Scripted(three=dies)
    await launched(memory)
    with pytest.raises(StepCrashedError):
        await run_through(memory, runner)
    await asyncio.sleep(TIMING.lease_seconds)
    flow = await run_through(memory, runner)
    assert flow.head.status is Status.SUCCEEDED
    assert flow.usage.cost_nanodollars == 4 * CALL.cost_nanodollars + 2 * BOUND.cost_nanodollars
    assert flow.usage.lost_calls == 2
    day = time.strftime("%Y-%m-%d", time.gmtime())
    spent = await cells_of(MemorySpendingLog(memory), "t", [day])
    assert sum((one.usage for one in spent), start=Usage()) == flow.usage
    assert {one.names for one in spent} == {
        ("c", task, "a", "ann", "m") for task in ("one", "two", "three")
    }


async def test_a_flow_that_failed_goes_on_where_it_was_when_it_is_driven_again():
    def fails(_work: StepTask, _session: Session) -> None:
        if runner.began.count("two") == 1:
            raise StepFailedError("the provider was away")

    memory, runner = MemoryFlows(), Scripted(two=fails)
    await launched(memory)
    assert (await run_through(memory, runner)).head.status is Status.FAILED
    given: dict[str, Any] = {"tenant": "t", "flow": "f", "new_id": lambda: "1" * 32}
    control = FlowControl(memory, memory)
    again = await control.redrive(INLINE, **given)
    assert await control.redrive(INLINE, **given) == again != "f"
    flow = await run_through(memory, runner, again)
    assert (flow.head.status, flow.output) == (Status.SUCCEEDED, "three after 2")
    assert runner.began == ["one", "two", "two", "three"]
    with pytest.raises(ConflictError):
        await control.redrive(INLINE, **given | {"flow": again})

"""Messages of attempts that are cut: each is ended, and no id is used twice."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ag_ui_validate.pytest_plugin import assert_valid_agui

from core.adapters.memory import MemoryFlows
from core.crews.clock import NoLimit
from core.crews.crew_runner import CrewRunner, Session, StepDeferredError, StepTask
from core.crews.timing import Timing
from tests.crewai_parts import RunnerHarness, a_crew, a_harness
from tests.worker_parts import a_worker, launched, log_of


async def log_after(harness: RunnerHarness, **task: Any) -> list[dict[str, Any]]:
    """Run a crew of one task through a real worker; return the flow's log."""
    memory = MemoryFlows()
    await launched(memory, a_crew(one={"description": "Do it.", **task}))
    await a_worker(memory, harness.runner, timing=Timing(30, 10, 60)).run_flow("t", "f", NoLimit())
    log = await log_of(memory)
    assert_valid_agui(log, features=["shared-state"], max_warnings=0)
    return log


def begun(log: list[dict[str, Any]]) -> list[str]:
    return [event["messageId"] for event in log if event["type"] == "TEXT_MESSAGE_START"]


async def test_a_worker_begins_a_step_again_that_was_put_off_and_counts_no_attempt():
    memory, seen = MemoryFlows(), list[tuple[int, int]]()

    class Deferring(CrewRunner):
        async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
            del session
            seen.append((work.attempt, work.deferrals))
            if len(seen) < 4:
                raise StepDeferredError("the provider is busy", 0)  # it is counted all the same
            return {"output": "x", "raw": "x"}

    await launched(memory, a_crew(one={"description": "Do it."}))
    worker = a_worker(memory, Deferring(), timing=Timing(30, 10, 60))
    for _ in range(4):
        await worker.run_flow("t", "f", NoLimit())
        await asyncio.sleep(0.01)
    assert seen == [(1, 0), (1, 1), (1, 2), (1, 3)]
    log = await log_of(memory)
    assert log[-1]["type"] == "RUN_FINISHED"


def cut() -> Iterator[str]:
    yield "half of it "
    raise RuntimeError("cut")


async def test_attempts_within_one_claim_number_their_messages_on():
    refusals = iter(["no"] * 3)
    harness = a_harness(
        *["bad"] * 3, "good", guardrails={"strict": lambda *_: next(refusals, None)}
    )
    log = await log_after(harness, guardrails=["strict"], retries=1)
    assert log[-1]["type"] == "RUN_FINISHED"
    assert begun(log) == [f"f.one.1.{number}" for number in range(1, 5)]


@pytest.mark.parametrize("retries", [0, 1])
async def test_a_message_is_ended_before_the_log_says_that_its_attempt_failed(retries: int):
    log = await log_after(a_harness(cut(), cut()), retries=retries)
    assert log[-1]["type"] == "RUN_ERROR"
    assert len(begun(log)) == 1 + retries


async def test_a_message_whose_attempt_took_too_long_is_ended_and_gains_no_more_text():
    go_on, cut_off = threading.Event(), list[threading.Thread]()

    def slow() -> Iterator[str]:
        cut_off.append(threading.current_thread())
        yield "said in time"
        assert go_on.wait(20)
        yield "said too late"

    def second() -> Iterator[str]:
        go_on.set()
        cut_off[0].join(20)
        yield "whole"

    log = await log_after(a_harness(slow(), second()), max_execution_time=3, retries=1)
    assert log[-1]["type"] == "RUN_FINISHED"
    kinds = [event.get("name", event["type"]) for event in log]
    assert kinds.index("TEXT_MESSAGE_END") < kinds.index("step_failed")
    deltas = [event["delta"] for event in log if event["type"] == "TEXT_MESSAGE_CONTENT"]
    assert deltas == ["said in time", "whole"]

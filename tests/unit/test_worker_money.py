"""A worker whose budget has no room: it waits for others, or its flow waits for money."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.adapters.memory import MemoryBudgets, MemoryCallLedger, MemoryFlows
from core.costs.budget import Budget, BudgetState, Refusal, Scope, Verdict
from core.costs.usage import Usage
from core.costs.windows import UTC_ZONE, Window
from core.crews.call_ledger import Call
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.crew_runner import Session, StepTask
from core.crews.ledger import Claim
from core.crews.money_queue import MoneyQueue
from core.crews.outcomes import Outcome
from core.errors import ConflictError
from core.flows import Flow, Status
from tests.worker_parts import BOUND, CALL, Scripted, a_crew, a_worker, launched, log_of

COST = BOUND.cost_nanodollars
NOON = 1_764_072_000_000  # a Tuesday


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


def a_budget(limit: int, window: Window = Window.DAY) -> Budget:
    return Budget("b", Scope.TENANT, window, limit)


async def visited(memory: MemoryFlows, runner: Scripted | None = None, flow: str = "f") -> Outcome:
    return await a_worker(memory, runner or Scripted()).run_flow("t", flow, NoLimit())


async def states(memory: MemoryFlows) -> tuple[BudgetState, ...]:
    return (await MemoryBudgets(memory).all("t")).states


async def waiting(memory: MemoryFlows, limit: int, window: Window = Window.DAY) -> Flow:
    """A flow whose second step finds no money."""
    await MemoryBudgets(memory).save("t", a_budget(limit, window))
    await launched(memory)
    assert await visited(memory) is Outcome.WAITS
    return await memory.state("t", "f")


WAITING: dict[str, Any] = {"reason": "budget", "budget": "b", "needed_nanodollars": COST}


async def told(memory: MemoryFlows) -> list[str]:
    return [event["name"] for event in await log_of(memory) if event["type"] == "CUSTOM"]


async def test_a_flow_that_has_no_money_for_its_next_call_waits_and_holds_no_step():
    memory = MemoryFlows(Clock())
    flow = await waiting(memory, COST)
    until_ms = UTC_ZONE.end_ms(Window.DAY, NOON)
    assert flow.head.status is Status.WAITING
    left = COST - CALL.cost_nanodollars
    assert flow.waiting == WAITING | {"left_nanodollars": left, "until_ms": until_ms}
    assert [step.state for step in flow.steps] == ["done", "pending", "pending"]
    assert (flow.steps[1].attempts, flow.steps[1].deferrals) == (0, 0)
    assert memory.due_at("t", "f") == until_ms
    assert "budget_exhausted" in await told(memory)
    assert flow.usage == CALL
    assert await states(memory) == (BudgetState("b", "2025-11-25", "", CALL.cost_nanodollars, 0),)


async def test_it_goes_on_by_itself_when_the_budget_is_raised():
    memory = MemoryFlows(Clock())
    await waiting(memory, COST)
    await MemoryBudgets(memory).save("t", a_budget(10 * COST))
    assert memory.due_at("t", "f") == NOON
    assert await visited(memory) is Outcome.ENDED
    flow = await memory.state("t", "f")
    assert (flow.head.status, flow.waiting) == (Status.SUCCEEDED, None)
    assert "budget_retried" in await told(memory)


async def test_it_goes_on_by_itself_when_its_window_turns():
    memory = MemoryFlows(clock := Clock())
    flow = await waiting(memory, COST)
    assert (await memory.lease(10, 10, 1)).items == []
    assert flow.waiting is not None
    clock.now = flow.waiting["until_ms"]
    assert (await memory.lease(10, 10, 1)).items == [("t", "f")]
    assert await visited(memory) is Outcome.WAITS  # a day has money for one of its two steps
    flow = await memory.state("t", "f")
    assert [step.state for step in flow.steps] == ["done", "done", "pending"]


async def test_while_there_is_no_money_a_look_changes_nothing_of_the_steps():
    memory = MemoryFlows(Clock())
    before = await waiting(memory, COST, Window.FLOW)
    left = COST - CALL.cost_nanodollars
    assert before.waiting == WAITING | {"left_nanodollars": left, "until_ms": None}
    for _ in range(3):
        assert await visited(memory) is Outcome.WAITS
    after = await memory.state("t", "f")
    assert [(s.state, s.attempts, s.deferrals) for s in after.steps] == [
        (s.state, s.attempts, s.deferrals) for s in before.steps
    ]
    assert after.usage == before.usage


async def test_a_flow_that_waits_for_money_can_be_cancelled_and_asks_nobody():
    memory = MemoryFlows(Clock())
    await waiting(memory, COST)
    people = FlowControl(memory, memory)
    with pytest.raises(ConflictError, match="waits for nobody"):
        await people.resume(tenant="t", flow="f", approve=True, feedback="")
    assert (await people.cancel(tenant="t", flow="f")).head.status is Status.CANCELLED
    await MemoryBudgets(memory).save("t", a_budget(10 * COST))
    assert memory.due_at("t", "f") is None


async def test_a_step_whose_worker_died_gives_its_money_back_though_its_flow_waits_for_other_money():
    """Both steps run side by side; the agent of one has no money, the worker of the other is killed."""
    memory = MemoryFlows(clock := Clock())
    budgets = MemoryBudgets(memory)
    await budgets.save("t", a_budget(10 * COST))
    await budgets.save("t", replace(a_budget(1), id="none", scope=Scope.AGENT, name="poor"))
    side_by_side = {
        "one": {"async_execution": True},
        "two": {"async_execution": True, "context": [], "agent": "poor"},
    }
    await launched(memory, a_crew(side_by_side, agents=("a", "poor")))
    one = (await memory.state("t", "f")).steps[0]
    claim = await memory.claim("t", "f", one, owner="dead", lease_ms=6_000, events=[])
    assert isinstance(claim, Claim)
    call = Call("t", "f", "one", claim.epoch, 1, "m", "c", "one", BOUND, agent="a")
    assert await MemoryCallLedger(memory).reserve(call) is None
    assert await visited(memory) is Outcome.WAITS
    assert (await memory.lease(10, 10, 1)).items == []
    clock.now += 6_000
    assert (await memory.lease(10, 10, 1)).items == [("t", "f")]
    assert await visited(memory) is Outcome.WAITS
    (team,) = [each for each in await states(memory) if each.budget == "b"]
    spent = BOUND.cost_nanodollars + CALL.cost_nanodollars
    assert (team.spent_nanodollars, team.held_nanodollars) == (spent, 0)
    steps = {step.id: step.state for step in (await memory.state("t", "f")).steps}
    assert (steps["one"], steps["two"]) == ("done", "pending")


async def test_a_model_without_a_price_fails_the_step_in_words():
    class Unpriced(Scripted):
        async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
            call = await asyncio.to_thread(session.reserve, "m", Usage(1, unpriced_calls=1))
            raise AssertionError(f"{call} of {work.prompt.step} was reserved")

    memory = MemoryFlows()
    await MemoryBudgets(memory).save("t", a_budget(10 * COST))
    await launched(memory, a_crew({name: {"retries": 0} for name in ("one", "two", "three")}))
    await visited(memory, Unpriced())
    flow = await memory.state("t", "f")
    assert flow.head.status is Status.FAILED
    assert "nobody knows what the model costs, and the budget b is a limit" in str(flow.error)


async def test_flows_that_share_too_little_money_take_it_in_turn():
    """Of ten flows each asks for a whole budget at a time; all get through, by each other's rests."""
    memory, names = MemoryFlows(), [f"f{number}" for number in range(10)]
    await MemoryBudgets(memory).save("t", a_budget(COST + 30 * CALL.cost_nanodollars))
    worker = a_worker(memory, Scripted())
    for name in names:
        await launched(memory, flow=name)
    async with asyncio.timeout(20):
        ended = await asyncio.gather(*(worker.run_flow("t", name, NoLimit()) for name in names))
    assert set(ended) == {Outcome.ENDED}
    (state,) = await states(memory)
    assert (state.spent_nanodollars, state.held_nanodollars) == (30 * CALL.cost_nanodollars, 0)


class Held:
    """A ledger in which others hold the money for so many more questions."""

    def __init__(self, memory: MemoryFlows, refusals: int) -> None:
        self.calls, self.refusals, self.asked = MemoryCallLedger(memory), refusals, 0

    async def ask(self) -> Refusal | None:
        self.asked += 1
        held = Refusal(Verdict.HELD, "b", 0)
        return held if self.asked <= self.refusals else None


async def test_of_many_who_wait_only_one_asks():
    memory = MemoryFlows()
    others = [Held(memory, 1000) for _ in range(20)]
    queue, refusal = MoneyQueue(seconds=1.0), Refusal(Verdict.HELD, "b", 0)
    waits = [asyncio.create_task(queue.wait(held.calls, "t", refusal, held.ask)) for held in others]
    await asyncio.sleep(0.1)
    assert sorted(held.asked for held in others) == [0] * 19 + [1]
    assert await asyncio.gather(*waits) == [refusal] * 20  # after the last question of each
    assert max(held.asked for held in others) <= 2

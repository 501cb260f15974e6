"""Two hundred calls of several processes race for budgets; half of the processes are killed.

No budget is overspent, and what is left unused is less than the bound of one call. The provider of
this test charges a call when it is made, so what it charges is known although its worker dies.
"""

import asyncio
import multiprocessing
import os
import random
import signal
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess

import pytest

from core.adapters.upstash.call_ledger import UpstashCallLedger
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.keys import Keyspace
from core.costs.budget import Budget, Refusal, Scope, Verdict
from core.costs.usage import Usage
from core.costs.windows import Window
from core.crews.call_ledger import Call
from core.crews.ledger import Claim
from core.crews.money_queue import MoneyQueue
from core.flows import Status
from tests.fixtures_ports import Flows, a_launch, over_redis, own_keys

BOUND = 1_000_000
PROCESSES, KILLED, CALLS = 10, 5, 20
LEAST = BOUND // 10  # what a call costs at least to be of use
_processes = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Racer:
    """What one process asks for: calls of one step, and whether they may be made smaller."""

    url: str
    token: str
    keys: Keyspace
    claim: Claim
    seed: int
    may_shrink: bool
    bound: int = BOUND

    def call(self, number: int) -> Call:
        held, least = self.claim, LEAST if self.may_shrink else None
        return Call(
            held.tenant, held.flow, held.step, held.epoch, number, "m", "c", "t",
            Usage(1, 1, 1, self.bound), least_nanodollars=least,
        )  # fmt: skip

    async def run(self) -> None:
        ledger = UpstashCallLedger(
            RetryingClient(HttpRedis(self.url, self.token)),
            self.keys,
            pubsub=HttpPubSub(self.url, self.token),
        )
        queue, dice = MoneyQueue(seconds=5), random.Random(self.seed)
        await asyncio.gather(
            *(self._make(ledger, queue, self.call(number + 1), dice) for number in range(CALLS))
        )

    async def _make(
        self, ledger: UpstashCallLedger, queue: MoneyQueue, call: Call, dice: random.Random
    ) -> None:
        while (refusal := await self._held(ledger, queue, call)) is not None:
            if refusal.verdict is not Verdict.SHORT:
                return
            call = replace(call, bound=Usage(1, 1, 1, refusal.headroom_nanodollars))
        await asyncio.sleep(dice.uniform(0, 0.02))  # the provider's answer
        usage = Usage(1, 1, 1, call.bound.cost_nanodollars)  # it takes all that it may
        for _ in range(2):
            await ledger.settle(call, usage, [])

    async def _held(
        self, ledger: UpstashCallLedger, queue: MoneyQueue, call: Call
    ) -> Refusal | None:
        refusal = await ledger.reserve(call)
        if refusal is not None and refusal.verdict is Verdict.HELD:
            tenant = self.claim.tenant
            return await queue.wait(ledger, tenant, refusal, lambda: ledger.reserve(call))
        return refusal


def race(racer: Racer) -> None:
    """Run in a process of its own."""
    asyncio.run(racer.run())


async def racers(flows: Flows, url: str, token: str, **given: int) -> list[Racer]:
    made = list[Racer]()
    for number in range(PROCESSES):
        flow = f"f{number}"
        await flows.ledger.create(flows.tenant, a_launch(flow))
        step = (await flows.ledger.state(flows.tenant, flow)).steps[0]
        claim = await flows.ledger.claim(
            flows.tenant, flow, step, owner=flow, lease_ms=600_000, events=[]
        )
        assert isinstance(claim, Claim)
        made.append(Racer(url, token, flows.keys, claim, number, number % 2 == 0, **given))
    return made


def ended(process: BaseProcess) -> None:
    process.join(60)
    assert process.exitcode is not None


@pytest.mark.timeout(180)
@pytest.mark.parametrize("budget", [1, 2.5, 10, 150, 0.1])
async def test_no_budget_is_overspent_and_little_is_left_whoever_dies(gateway, budget: float):
    url, token = gateway.url, gateway.token
    flows = over_redis(HttpRedis(url, token), url, token, keys=own_keys())
    limit = round(budget * BOUND)
    for name, scope in (("all", Scope.TENANT), ("each", Scope.CREW)):
        await flows.budgets.save(flows.tenant, Budget(name, scope, Window.DAY, limit))
    running = await racers(flows, url, token)
    started = [_processes.Process(target=race, args=(racer,)) for racer in running]
    for process in started:
        process.start()
    while not (await flows.budgets.all(flows.tenant)).states:  # noqa: ASYNC110 -- nobody has asked yet
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.1)
    for process in started[:KILLED]:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
    for process in started:
        await asyncio.to_thread(ended, process)
    for racer in running:  # whose calls under way count as lost
        await flows.ledger.transition(
            flows.tenant, racer.claim.flow, Status.CANCELLED, status_epoch=0, events=[]
        )
    usage = Usage()
    for racer in running:
        usage += (await flows.ledger.state(flows.tenant, racer.claim.flow)).usage
    for state in (await flows.budgets.all(flows.tenant)).states:
        assert state.held_nanodollars == 0
        assert state.spent_nanodollars == usage.cost_nanodollars
    assert usage.cost_nanodollars <= limit
    asked = (PROCESSES - KILLED) * CALLS * BOUND  # at least; the others may have died too early
    assert min(limit, asked) - usage.cost_nanodollars < (BOUND if budget >= 1 else LEAST + 1)

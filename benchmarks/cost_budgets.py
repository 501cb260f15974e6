"""Budgets: what is overspent and what is left when fifty calls race for money for ten; what one costs.

Lengths are those of the trace. Nobody says how long an answer may be, so each call is held at its
model's longest, or at what there is money for. Money for ten is what ten calls of the race cost.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable
from dataclasses import dataclass, replace

from benchmarks import cost_work, course
from benchmarks.parts import TENANT, Parts, commands_so_far
from benchmarks.report import Figure
from core import time_of_day
from core.adapters.crewai.output_bound import LEAST_OUTPUT_TOKENS
from core.adapters.price_catalogues import CataloguePriceBook
from core.adapters.upstash.budgets import UpstashBudgets
from core.adapters.upstash.call_ledger import UpstashCallLedger
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.http import HttpPubSub
from core.costs.budget import Budget, Refusal, Scope, Verdict
from core.costs.prices import bound, rates_of
from core.costs.rates import Rates
from core.costs.usage import Usage
from core.costs.windows import Window
from core.crews.call_ledger import Call
from core.crews.ledger import Claim
from core.crews.money_queue import MoneyQueue

MODEL, LONGEST = "openai/gpt-4o-mini", 16_384
INPUT, OUTPUT = 150, 600  # nano-dollars for a token
BYTES_PER_TOKEN = 4  # of a prompt, which is held as if each were a token
AT_ONCE, MONEY_FOR = 50, 10
SECONDS_PER_TOKEN = 0.0005  # of an answer
RACE = "race"


async def measured(running: Parts, races: int, calls: int) -> list[Figure]:
    """Return the figures of so many races, and of so many calls one after the other."""
    pubsub = HttpPubSub(running.settings.redis_url, running.settings.redis_token)
    ledger = UpstashCallLedger(running.redis(), pubsub=pubsub)
    rates = rates_of(CataloguePriceBook(), MODEL, time_of_day.now_ms())
    if rates is None:
        raise RuntimeError(f"nobody knows what {MODEL} costs")
    return [
        *await _races(running, ledger, rates, races),
        *await _single(running, ledger, calls),
    ]


@dataclass(frozen=True, slots=True)
class Asking:
    """One call of the race: its prompt, and how long its answer would be."""

    call: Call
    rates: Rates
    sent: int
    received: int

    def whole(self) -> Usage:
        return self.bound(LONGEST)

    def bound(self, tokens: int) -> Usage:
        return bound(self.rates, self.sent * BYTES_PER_TOKEN, tokens, has_tools=False)

    def within(self, nanodollars: int) -> Usage:
        """Return the bound of the longest answer that is paid for."""
        fits, beyond = LEAST_OUTPUT_TOKENS, LONGEST + 1
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            paid = self.bound(middle).cost_nanodollars <= nanodollars
            fits, beyond = (middle, beyond) if paid else (fits, middle)
        return self.bound(fits)

    def used(self, most: Usage) -> Usage:
        """Return what the model takes that may answer no more than was held."""
        received = min(self.received, most.output_tokens)
        return Usage(1, self.sent, received, cost(self.sent, received))


def cost(sent: int, received: int) -> int:
    """Return what the provider charges."""
    return sent * INPUT + received * OUTPUT


async def _races(
    running: Parts, ledger: UpstashCallLedger, rates: Rates, races: int
) -> list[Figure]:
    over, used, naive_over = list[float](), list[float](), list[float]()
    for number in range(races):
        tokens = cost_work.trace()[number * AT_ONCE : (number + 1) * AT_ONCE]
        limit = MONEY_FOR * sum(cost(*each) for each in tokens) // AT_ONCE
        spent = await _race(running, ledger, rates, tokens, limit)
        naive = await _naive_race(running.redis(), f"naive{number}", tokens, limit)
        over.append(max(0, spent - limit) / limit)
        used.append(min(limit, spent) / limit)
        naive_over.append((naive - limit) / limit)
    seen = f"{AT_ONCE} calls at once, money for {MONEY_FOR}; checked and then counted: "
    seen += f"+{statistics.median(naive_over):.0%}"
    return [
        Figure("overspend", max(over), "== 0", seen),
        Figure(
            "utilisation", round(statistics.median(used), 3), ">= 0.9",
            f"{min(used):.3f} to {max(used):.3f} in {races} races",
        ),
    ]  # fmt: skip


async def _race(
    running: Parts,
    ledger: UpstashCallLedger,
    rates: Rates,
    tokens: list[tuple[int, int]],
    limit: int,
) -> int:
    """Return what was spent of a new flow's budget."""
    claim, budgets, queue = await _claim(running), UpstashBudgets(running.redis()), MoneyQueue()
    budget = Budget(RACE, Scope.FLOW, Window.FLOW, limit, name=claim.flow)
    await budgets.save(TENANT, budget)
    asking = [
        Asking(_call(claim, number + 1, Usage()), rates, *each)
        for number, each in enumerate(tokens)
    ]
    await asyncio.gather(*(_ask(ledger, queue, each) for each in asking))
    await budgets.delete(TENANT, RACE)
    return (await running.ledger().state(TENANT, claim.flow)).usage.cost_nanodollars


async def _ask(ledger: UpstashCallLedger, queue: MoneyQueue, asking: Asking) -> None:
    """Make a call as long as there is money for, if that is of use; wait for others' where they hold it."""
    most, least = asking.whole(), asking.bound(LEAST_OUTPUT_TOKENS).cost_nanodollars
    while True:
        call = replace(asking.call, bound=most, least_nanodollars=least)
        refusal = await _reserve(ledger, queue, call)
        if refusal is None:
            break
        if refusal.verdict is not Verdict.SHORT:
            return
        most = asking.within(refusal.headroom_nanodollars)
    used = asking.used(most)
    await asyncio.sleep(used.output_tokens * SECONDS_PER_TOKEN)
    await ledger.settle(call, used, [])


async def _reserve(ledger: UpstashCallLedger, queue: MoneyQueue, call: Call) -> Refusal | None:
    refusal = await ledger.reserve(call)
    if refusal is not None and refusal.verdict is Verdict.HELD:
        return await queue.wait(ledger, TENANT, refusal, lambda: ledger.reserve(call))
    return refusal


async def _naive_race(redis: Commands, key: str, tokens: list[tuple[int, int]], limit: int) -> int:
    """Return what is spent where calls are checked before and counted after."""

    async def ask(sent: int, received: int) -> None:
        if int(await redis.execute(["GET", key]) or 0) < limit:
            await asyncio.sleep(received * SECONDS_PER_TOKEN)
            await redis.execute(["INCRBY", key, cost(sent, received)])

    await asyncio.gather(*(ask(*each) for each in tokens))
    return int(await redis.execute(["GET", key]) or 0)


async def _single(running: Parts, ledger: UpstashCallLedger, calls: int) -> list[Figure]:
    """Measure calls that count in two budgets, a day's and a month's."""
    redis, claim = running.redis(), await _claim(running)
    budgets = UpstashBudgets(redis)
    for window in (Window.DAY, Window.MONTH):
        await budgets.save(TENANT, Budget(window, Scope.TENANT, window, 10**15))
    reserving, reading = list[float](), list[float]()
    used = Usage(1, 900, 20, 147_000)
    await redis.execute(["SET", "a-value", "1"])
    before = await commands_so_far(redis)
    for number in range(1, calls + 1):
        call = _call(claim, number, Usage(1, 1000, 500, 450_000))
        reserving.append(await _timed(ledger.reserve(call)))
        reading.append(await _timed(redis.execute(["GET", "a-value"])))
        await ledger.settle(call, used, [])
    spent = (await commands_so_far(redis)) - before
    commands = (sum(spent.values()) - calls) / calls  # without the GETs
    held, read = (statistics.median(times) * 1000 for times in (reserving, reading))
    return [
        Figure("reserve_settle_commands", round(commands, 2), "<= 20", "two budgets"),
        Figure(
            "reserve_p50_vs_get", round(held / read, 2), "<= 2",
            f"{held:.2f} ms to reserve, {read:.2f} ms for a GET",
        ),
    ]  # fmt: skip


async def _claim(running: Parts) -> Claim:
    flow = await course.launched(running.ledger(), 0)
    return await course.claimed(running.ledger(), flow, course.steps(0)[0])


def _call(claim: Claim, number: int, most: Usage) -> Call:
    names = MODEL, "research", "answer"
    return Call(TENANT, claim.flow, claim.step, claim.epoch, number, *names, most)


async def _timed(awaited: Awaitable[object]) -> float:
    began = time.perf_counter()
    await awaited
    return time.perf_counter() - began

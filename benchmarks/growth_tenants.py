"""One idle worker, one sweep, one start: with one tenant, and with many that had a flow this week."""

import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable

from benchmarks import crew_fleet, parts
from benchmarks.crew_flows import a_launch, launched, short_crew, until_ended
from benchmarks.parts import Parts
from benchmarks.report import Figure, short
from core.adapters.upstash.ledger import UpstashRunLedger
from core.flows import Status, events

AT_ONCE = 64  # flows that are seeded side by side
PAUSE_SECONDS = 0.05  # between two starts
SWEEP = "from functions.sweep import handler; from benchmarks.growth_tenants import Minute; handler({}, Minute())"


class Minute:
    """A Lambda context of an invocation that has a minute."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left."""
        return 60_000


async def measured(
    running: Parts, tenants: int, settle_seconds: float, idle_seconds: float, starts: int
) -> list[Figure]:
    """Measure with one tenant, then with so many, over the same worker process."""
    async with crew_fleet.answers(0) as model:
        crew_fleet.begin(running, model, ("worker",))
        return await _with_worker(running, tenants, settle_seconds, idle_seconds, starts)


async def _with_worker(
    running: Parts, tenants: int, settle_seconds: float, idle_seconds: float, starts: int
) -> list[Figure]:
    await until_ended(running, await launched(running, short_crew()))
    idle_1 = await _idle(running, settle_seconds, idle_seconds)
    start_1 = await _start_ms(running, starts)
    await seed(running, tenants)
    idle_many = await _idle(running, settle_seconds, idle_seconds)
    start_many = await _start_ms(running, starts)
    running.processes.stop("worker")
    commands = await swept(running)
    name = short(tenants)
    ratio = round(start_many / start_1, 3)
    seen = f"{start_many:.2f} ms from the wake-up to the step, {start_1:.2f} with one tenant"
    return [
        Figure("idle_commands_per_minute_1", round(idle_1, 1), "<= 10"),
        Figure(f"idle_commands_per_minute_{name}", round(idle_many, 1), "<= 10"),
        Figure(f"sweep_commands_{name}", commands, "<= 10", f"{tenants} tenants, nothing due"),
        Figure(f"start_ratio_{name}", ratio, "<= 1.5", seen),
    ]


async def seed(running: Parts, tenants: int) -> None:
    """Give so many tenants a flow that has ended."""
    ledger = running.ledger()
    await side_by_side(range(tenants), lambda number: _ended(ledger, f"tenant-{number}"))


async def side_by_side(numbers: range, work: Callable[[int], Awaitable[None]]) -> None:
    """Do something for each number, some at once."""
    left = iter(numbers)

    async def some() -> None:
        for number in left:
            await work(number)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))


async def _ended(ledger: UpstashRunLedger, tenant: str) -> None:
    launch = a_launch(short_crew())
    await ledger.create(tenant, launch)
    end = events.run_error("seeded", Status.CANCELLED.value)
    await ledger.transition(
        tenant, launch.flow, Status.CANCELLED, status_epoch=0, events=end, error="seeded"
    )


async def _idle(running: Parts, settle_seconds: float, seconds: float) -> float:
    """Return the commands a minute of a worker that has nothing to do."""
    await asyncio.sleep(settle_seconds)
    redis = running.redis()
    before = await parts.commands_so_far(redis)
    await asyncio.sleep(seconds)
    return (await parts.commands_so_far(redis) - before).total() * 60 / seconds


async def _start_ms(running: Parts, starts: int) -> float:
    """Return the time from a wake-up to the step's start, by Redis' clock; the median."""
    times = [await _one_start_ms(running) for _ in range(starts)]
    return statistics.median(times)


async def _one_start_ms(running: Parts) -> float:
    seconds, micros = await running.redis().execute(["TIME"])
    flow = await launched(running, short_crew())
    state = await until_ended(running, flow)
    started = state.steps[0].started_ms or 0
    await asyncio.sleep(PAUSE_SECONDS)
    return started + 0.5 - (int(seconds) * 1000 + int(micros) / 1000)


async def swept(running: Parts) -> float:
    """Return the commands of one sweep, in a process of its own as a schedule has it."""
    redis = running.redis()
    before = await parts.commands_so_far(redis)
    command = [sys.executable, "-c", SWEEP]
    environ = {**running.environ, "CREWLINE_BUCKET": "none"}
    process = await asyncio.create_subprocess_exec(*command, env=environ)
    if await process.wait():
        raise RuntimeError("the sweep failed")
    return (await parts.commands_so_far(redis) - before).total()

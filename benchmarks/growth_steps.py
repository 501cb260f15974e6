"""A step in a flow of hundreds against one in a flow of ten: its time, and its bytes to Redis."""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.crew_flows import a_launch, chain_crew, succeeded
from benchmarks.parts import TENANT, TTL_SECONDS, Parts
from benchmarks.report import Figure
from core.adapters.upstash.call_ledger import UpstashCallLedger
from core.adapters.upstash.commands import Command, Commands, RetryingClient
from core.adapters.upstash.ledger import UpstashRunLedger
from core.adapters.upstash.wake import RedisWakeQueue
from core.crews.clock import NoLimit
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.step_runner import StepRunner
from core.crews.timing import Timing
from core.crews.worker import Worker
from core.flows.values import INLINE

SHORT = 10
RESULT = {"output": "x" * 5_000, "raw": "x" * 5_000}


@dataclass
class CountingRedis:
    """A client that counts what it sends and gets, as JSON."""

    commands: Commands
    total_bytes: int = 0

    async def execute(self, command: Command) -> Any:
        """Send one command."""
        reply = await self.commands.execute(command)
        self.total_bytes += len(json.dumps(command)) + len(json.dumps(reply))
        return reply

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """Send several."""
        replies = await self.commands.pipeline(commands)
        self.total_bytes += len(json.dumps(commands)) + len(json.dumps(replies))
        return replies


@dataclass
class Stopwatch(CrewRunner):
    """A runner whose answer is ready; it notes when each step began, and the bytes until then."""

    redis: CountingRedis
    times: list[float] = field(default_factory=list[float])
    sizes: list[int] = field(default_factory=list[int])

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Return a result of 5 kB (10 kB with its raw text)."""
        del work, session
        self.times.append(time.perf_counter())
        self.sizes.append(self.redis.total_bytes)
        return RESULT


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step of a flow costs, on the average over all but the first."""

    ms: float
    bytes: float


async def measured(running: Parts, long_steps: int, rounds: int) -> list[Figure]:
    """Compare, in turns; the median of the turns' ratios."""
    turns = [(await _flow(running, long_steps), await _flow(running, SHORT)) for _ in range(rounds)]
    times = statistics.median(one.ms / other.ms for one, other in turns)
    sizes = statistics.median(one.bytes / other.bytes for one, other in turns)
    long, short = turns[-1]
    return [
        Figure(
            f"step_ms_{long_steps}_vs_{SHORT}",
            round(times, 3),
            "<= 1.3",
            f"{long.ms:.2f} ms a step, {short.ms:.2f} in a flow of {SHORT}",
        ),
        Figure(
            f"step_bytes_{long_steps}_vs_{SHORT}",
            round(sizes, 3),
            "<= 1.3",
            f"{long.bytes:.0f} bytes a step, {short.bytes:.0f} in a flow of {SHORT}",
        ),
    ]


async def _flow(running: Parts, steps: int) -> Cost:
    redis = CountingRedis(running.redis())
    client = RetryingClient(redis)
    ledger, runner = UpstashRunLedger(client, TTL_SECONDS), Stopwatch(redis)
    timing = Timing(lease_seconds=30, beat_seconds=10, step_seconds=60)
    step_runner = StepRunner(ledger, UpstashCallLedger(client), runner, timing, INLINE)
    worker = Worker(ledger, RedisWakeQueue(client), step_runner, INLINE)
    launch = a_launch(chain_crew(steps))
    await ledger.create(TENANT, launch)
    await worker.run_flow(TENANT, launch.flow, NoLimit())
    succeeded(await ledger.state(TENANT, launch.flow))
    gaps = len(runner.times) - 1
    spent = runner.times[-1] - runner.times[0]
    return Cost(spent / gaps * 1000, (runner.sizes[-1] - runner.sizes[0]) / gaps)

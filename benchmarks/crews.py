"""Crews: what a flow costs beside CrewAI alone, side by side, after a kill, and in Redis commands; how they are read.

python -m benchmarks.crews --json
"""

import asyncio
import os
from dataclasses import dataclass

from benchmarks import crew_compiling, crew_fleet, crew_resume, parts, report
from benchmarks.parts import Parts
from benchmarks.report import Figure


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    pairs: int
    slow_pairs: int
    call_seconds: float  # of the slow ones
    workers: int
    flows: int
    kills: int
    starts: int  # of processes that read the crews


FULL, QUICK = Effort(20, 20, 1.0, 4, 7, 11, 11), Effort(2, 2, 0.2, 2, 1, 1, 1)


async def processes(running: Parts, effort: Effort) -> list[Figure]:
    """Measure what takes worker processes; one of them takes up what the killed ones leave."""
    async with crew_fleet.answers(effort.workers) as model:
        names = tuple(f"worker-{n}" for n in range(1, effort.workers + 1))
        crew_fleet.begin(running, model, names, **crew_resume.TIMING)
        fleet = await crew_fleet.warm(running, model, names)
        side_by_side = await crew_fleet.parallel(fleet, effort.flows)
        running.processes.stop(*names[1:])
        resumed = await crew_resume.resume(running, effort.kills)
        running.processes.stop(names[0])
        return [side_by_side, resumed]


async def one_process(running: Parts, effort: Effort) -> list[Figure]:
    """Measure what is compared with CrewAI in this process; only now is it loaded."""
    from benchmarks import crew_commands, crew_overhead, crew_replay  # noqa: PLC0415 -- it takes 8 s of CPU

    return [
        await crew_overhead.overhead(running, "overhead_zero_latency", "<= 1.3", 0.0, effort.pairs),
        await crew_overhead.overhead(
            running, "overhead_real_latency", "<= 1.05", effort.call_seconds, effort.slow_pairs
        ),
        *await crew_commands.commands(running),
        await crew_replay.journal_overhead(running, effort.pairs),
        await crew_replay.replayed_calls(running, effort.slow_pairs),
    ]


async def measured(running: Parts, effort: Effort) -> list[Figure]:
    """Return all figures."""
    reading = await asyncio.to_thread(crew_compiling.figures, effort.starts)
    return [*reading, *await processes(running, effort), *await one_process(running, effort)]


def main() -> None:
    """Measure and tell; on asyncio's own loop, as the worker runs."""
    chosen = report.options(__doc__)
    began = os.getloadavg()
    with parts.running() as running:
        figures = asyncio.run(measured(running, QUICK if chosen.quick else FULL))
    ended = os.getloadavg()
    print(f"the machine's load in the minute before: {began[0]:.1f}, at the end: {ended[0]:.1f}")
    report.tell(figures, as_json=chosen.json)


if __name__ == "__main__":
    main()

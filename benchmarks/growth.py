"""Growth: what must not cost more with more tenants, longer flows, longer lists.

python -m benchmarks.growth --json
"""

import asyncio
from dataclasses import dataclass

from benchmarks import growth_list, growth_steps, growth_tenants, parts, report
from benchmarks.parts import Parts
from benchmarks.report import Figure


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    tenants: int
    settle_seconds: float  # before a worker counts as idle: the lease of its last step may end
    idle_seconds: float
    starts: int
    long_steps: int
    rounds: int
    long_list: int
    reads: int


FULL = Effort(10_000, 35.0, 120.0, 60, 300, 5, 100_000, 400)
QUICK = Effort(50, 3.0, 6.0, 5, 30, 1, 300, 20)


async def measured(running: Parts, effort: Effort) -> list[Figure]:
    """Return all figures; the long list comes last, since it leaves many flows that are due."""
    return [
        *await growth_tenants.measured(
            running, effort.tenants, effort.settle_seconds, effort.idle_seconds, effort.starts
        ),
        *await growth_steps.measured(running, effort.long_steps, effort.rounds),
        *await growth_list.measured(running, effort.long_list, effort.reads),
    ]


def main() -> None:
    """Measure and tell."""
    chosen = report.options(__doc__)
    with parts.running() as running:
        figures = asyncio.run(measured(running, QUICK if chosen.quick else FULL))
    report.tell(figures, as_json=chosen.json)


if __name__ == "__main__":
    main()

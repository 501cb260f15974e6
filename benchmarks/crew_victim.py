"""A worker that will be killed: it launches a flow, claims its step, and never ends it.

All workers hear of the launch, as they do of every one; this one was the first to claim.

    python -m benchmarks.crew_victim FLOW

Its lease, beats and claim are the real worker's; only its runner waits instead of calling a model.
"""

import asyncio
import sys
from dataclasses import replace
from typing import Any

from benchmarks.crew_flows import a_launch, short_crew
from benchmarks.parts import TENANT
from core import bootstrap
from core.crews.clock import NoLimit
from core.crews.crew_runner import CrewRunner, Session, StepTask


class Endless(CrewRunner):
    """A runner whose model does not answer."""

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Let the others hear of the flow, and wait for ever."""
        del session
        await bootstrap.wake_queue().enqueue(work.tenant, work.flow)
        await asyncio.Event().wait()
        raise AssertionError


async def main(flow: str) -> None:
    """Launch and hold the flow."""
    with bootstrap.replace(runner=Endless()):
        worker = bootstrap.worker()
    await worker.ledger.create(TENANT, replace(a_launch(short_crew()), flow=flow))
    await worker.run_flow(TENANT, flow, NoLimit())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

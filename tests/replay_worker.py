"""A worker for one flow that dies where it is told to, and is begun again until the flow has ended.

    python -m tests.replay_worker GATEWAY TOKEN PREFIX TENANT MODEL FOLDER

CrewAI is loaded once; each worker is a fork. The model kills it by its process id, which is in
FOLDER/pid; each tool notes that it ran in FOLDER/ran, and kills its worker where FOLDER/kills says so.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from core.adapters.crewai.models import model_from
from core.adapters.crewai.runner import CrewAIRunner
from core.adapters.memory import MemoryBlobs
from core.adapters.price_catalogues import CataloguePriceBook
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.keys import Keyspace
from core.crews.clock import NoLimit
from core.crews.timing import Timing
from tests.crewai_parts import QUICK
from tests.fixtures_ports import Flows, over_redis
from tests.workers import worker_over

LEASE_SECONDS = 0.6


def tool(folder: Path, name: str, *, is_idempotent: bool):
    """Return a tool that notes each run, and dies before or after it as it is told."""

    def look(_context: object, at: str) -> str:
        """Look at something."""
        die_if_told(folder, f"before {at}")
        with (folder / "ran").open("a") as ran:
            ran.write(f"{name} {at}\n")
        die_if_told(folder, f"after {at}")
        return f"{at} is old"

    look.is_idempotent = is_idempotent  # type: ignore[attr-defined]
    return look


def die_if_told(folder: Path, place: str) -> None:
    """Die here, once."""
    told = folder / "kills" / place
    if told.exists():
        told.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


async def work(flows: Flows, model: str, folder: Path) -> None:
    """Take the flow as far as it goes."""
    tools = {
        "look": tool(folder, "look", is_idempotent=True),
        "pay": tool(folder, "pay", is_idempotent=False),
    }
    runner = CrewAIRunner(
        model_from("openai/gpt-4o", model, None), tools, {}, CataloguePriceBook(), MemoryBlobs(),
        retries=QUICK,
    )  # fmt: skip
    worker = worker_over(
        flows.ledger, flows.calls, flows.wake_queue, runner,
        Timing(LEASE_SECONDS, LEASE_SECONDS / 3, 20), journals=flows.journals,
    )  # fmt: skip
    while not (await flows.ledger.state(flows.tenant, "f1", fresh=True)).head.status.terminal:
        await worker.run_flow(flows.tenant, "f1", NoLimit())
        await asyncio.sleep(0.05)


def main(url: str, token: str, prefix: str, tenant: str, model: str, folder: str) -> None:
    """Fork workers until one of them says that the flow has ended."""
    place, keys = Path(folder), Keyspace(prefix=prefix)
    while True:
        child = os.fork()
        if child == 0:
            (place / "pid").write_text(str(os.getpid()))
            made = over_redis(HttpRedis(url, token), url, token, keys=keys)
            asyncio.run(work(Flows(**{**vars(made), "tenant": tenant}), model, place))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])

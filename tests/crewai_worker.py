"""Worker processes with CrewAI itself, that are really killed.

They are forks of one process that has imported CrewAI, which takes seconds. What it imports starts no
thread, so a fork lacks nothing.
"""

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from core import time_of_day
from core.adapters.price_catalogues import CataloguePriceBook
from functions import crew_worker
from tests import fault_worker
from tests.fault_worker import Order
from tests.fleet import Place, processes


def fork_workers(orders: "Connection[int, Order]") -> None:
    """Make a worker of each order that comes, and tell its process id; runs in a process of its own."""
    import tests.crewai_parts  # noqa: F401, PLC0415 -- in this process alone

    CataloguePriceBook().rates(
        "openai/gpt-4o-mini", time_of_day.now_ms()
    )  # its lists are read once
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who is killed is gone
    while True:
        order = orders.recv()
        pid = os.fork()
        if pid:
            orders.send(pid)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            fault_worker.begin(order)
            asyncio.run(crew_worker.main())
        finally:
            os._exit(1)


@dataclass
class CrewAIWorkers:
    """Workers of a place, by their process ids."""

    place: Place
    orders: "Connection[Order, int]"
    pids: list[int] = field(default_factory=list[int])
    kills: int = 0

    def start(self, count: int) -> None:
        for _ in range(count):
            self.orders.send(self.place.order())
            assert self.orders.poll(30), "CrewAI took too long to load"
            self.pids.append(self.orders.recv())

    def kill(self, *pids: int) -> None:
        """End workers as a crash would. One that has ended by itself is an error."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            self.pids.remove(pid)
            self.kills += 1


@contextmanager
def crewai_workers(place: Place, count: int) -> Generator[CrewAIWorkers]:
    """Yield running workers; all are gone afterwards."""
    ours, theirs = Pipe()
    forks = processes.Process(target=fork_workers, args=(theirs,), daemon=True)
    forks.start()
    workers = CrewAIWorkers(place, ours)
    try:
        workers.start(count)
        yield workers
    except BaseException:
        for log in sorted(place.folder.glob("*.log")):
            print(log.name, log.read_text()[-2500:])
        raise
    finally:
        workers.kill(*workers.pids)
        forks.kill()
        forks.join(5)

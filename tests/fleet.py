"""A fleet of worker processes that are killed, stopped and started again, as a cloud does it.

A `Place` is what they share: a store, a model, and one way of being woken. Workers are forks of one
process that has imported everything, so that a start takes milliseconds.
"""

import asyncio
import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from core.blobs import BlobStore
from core.crews.clock import NoLimit
from core.crews.definition import Definition
from core.crews.wakeups import WakeQueue
from core.due_loop import Room
from core.flows.values import INLINE, LargeValues
from functions import sweep
from tests import fault_worker
from tests.counting_model import CountingModel
from tests.fault_crews import a_launch
from tests.fault_worker import Order
from tests.fixtures_ports import Flows
from tests.qstash_stub import QStashStub

KINDS = ("due-set", "sqs", "qstash")
LEASE_SECONDS, BEAT_SECONDS = 0.8, 0.2
SWEEP_SECONDS = 0.3
PATIENCE_SECONDS = 40.0
POLL_SECONDS = 0.02
WORKER_FLOWS = 8
AT_ONCE = Room.shared(WORKER_FLOWS).per_tenant  # steps of a tenant that one worker may hold

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.fault_worker", "pytest"])


@dataclass
class Place:
    """Where a fleet works: the ports of the test's own tenant, and what its processes need."""

    kind: str
    flows: Flows
    model: CountingModel
    environ: Mapping[str, str]
    folder: Path
    wake_queue: WakeQueue
    stub: QStashStub | None = None
    blobs: BlobStore | None = None
    values: LargeValues = INLINE
    logs: "itertools.count[int]" = field(default_factory=itertools.count)

    async def launch(self, crew: Definition, flow: str = "f1") -> None:
        """Launch a crew and wake a worker."""
        await self.flows.ledger.create(self.flows.tenant, a_launch(crew, flow))
        await self.wake_queue.enqueue(self.flows.tenant, flow)

    def order(self, **given: Any) -> Order:
        """Return the order for one process of this place."""
        log = self.folder / f"{next(self.logs)}.log"
        return Order(self.kind, self.environ, self.model.url, log, **given)

    async def in_a_process(self, target: Callable[..., None], order: Order, *given: Any) -> int:
        """Run a function in a process of its own; return its exit code."""
        process = processes.Process(target=target, args=(order, *given), daemon=True)
        process.start()
        await asyncio.to_thread(process.join, PATIENCE_SECONDS)
        process.kill()
        assert process.exitcode is not None, "it took too long"
        return process.exitcode


class Fleet:
    """Workers of a place, kept at `size`; the first ones get the `trips`, in order."""

    def __init__(self, place: Place, size: int, trips: Iterable[str], **given: Any) -> None:
        self.place, self.size, self.kills = place, size, 0
        self._trips, self._given = iter(trips), given
        self._workers: list[BaseProcess] = []
        self._leaving: list[BaseProcess] = []
        self._swept = 0.0

    def add(self, **given: Any) -> BaseProcess:
        """Start one worker more."""
        order = self.place.order(**{"trip": next(self._trips, ""), **self._given, **given})
        worker = processes.Process(target=fault_worker.work, args=(order,), daemon=True)
        worker.start()
        self._workers.append(worker)
        return worker

    def kill(self, worker: BaseProcess) -> None:
        """End a worker as a crash would."""
        worker.kill()
        worker.join(5)

    def kill_all(self) -> None:
        """End them all; none is started again until the fleet is tended."""
        for worker in [*self._workers, *self._leaving]:
            self.kill(worker)
        self.kills += len(self._workers)
        self._workers = []

    def leaves(self, worker: BaseProcess) -> None:
        """Expect a worker to end by itself; another one takes its place."""
        self._workers.remove(worker)
        self._leaving.append(worker)

    async def left(self) -> None:
        """Wait until those have ended, and see that all was well with them."""
        for worker in self._leaving:
            await asyncio.to_thread(worker.join)
            assert worker.exitcode == 0
        self._leaving = []

    @property
    def running(self) -> list[BaseProcess]:
        """Those that live and were not stopped."""
        return [w for w in self._workers if w.exitcode is None and _state(w) != "T"]

    @property
    def stopped(self) -> list[BaseProcess]:
        """Those that stopped themselves."""
        return [w for w in self._workers if w.exitcode is None and _state(w) == "T"]

    def go_on(self) -> None:
        """Let the stopped ones go on."""
        for worker in self.stopped:
            os.kill(worker.pid or 0, signal.SIGCONT)

    def tend(self) -> None:
        """Count the killed, and start as many as are missing."""
        for worker in [w for w in self._workers if w.exitcode is not None]:
            assert worker.exitcode == -signal.SIGKILL, f"a worker ended with {worker.exitcode}"
            self._workers.remove(worker)
            self.kills += 1
        while len(self._workers) < self.size:
            self.add()

    async def killed(self) -> None:
        """Wait until a worker was killed. No other takes its place before the fleet is tended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.to_thread(wait, [worker.sentinel for worker in self._workers])

    async def until(self, reached: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
        """Tend the fleet, and sweep as a schedule does, until something is reached."""
        async with asyncio.timeout(seconds):
            while True:
                self.tend()
                await self._sweep()
                found = reached()
                if await found if asyncio.iscoroutine(found) else found:
                    return
                await asyncio.sleep(POLL_SECONDS)

    async def ended(self, *flows: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until flows have ended; nothing may take for ever."""
        left = list(flows or ("f1",))

        async def all_ended() -> bool:
            head = await self.place.flows.log.head(self.place.flows.tenant, left[0])
            if head.status.terminal:
                left.pop(0)
            return not left

        await self.until(all_ended, seconds)

    async def _sweep(self) -> None:
        if self.place.kind != "due-set" and time.monotonic() > self._swept + SWEEP_SECONDS:
            self._swept = time.monotonic()
            await sweep.sweep(self.place.flows.ledger, self.place.wake_queue, NoLimit())


def _state(worker: BaseProcess) -> str:
    """Return the letter of Linux for what a process does: T is stopped."""
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(") ")[2][0]


@asynccontextmanager
async def fleet(
    place: Place, *, size: int = 1, trips: Iterable[str] = (), **given: Any
) -> AsyncIterator[Fleet]:
    """Yield a fleet that is gone afterwards. A failure prints what the workers said last."""
    workers = Fleet(place, size, trips, **given)
    try:
        yield workers
    except BaseException:
        await _print_all(place)
        raise
    finally:
        workers.kill_all()


async def _print_all(place: Place) -> None:
    """Print what may say why something did not happen: all flows, and the workers' last words."""
    tenant = place.flows.tenant
    for summary in await place.flows.log.recent(tenant, 20):
        flow = await place.flows.ledger.state(tenant, summary.id)
        print(flow.id, flow.head, f"at {time.time():.3f}")
        for step in flow.steps:
            print("   ", step.id, step.state, step.epoch, step.lease_ms, step.finished_ms)
    for log in sorted(place.folder.glob("*.log")):
        print(log.name, log.read_text()[-2500:])

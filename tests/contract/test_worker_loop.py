"""A worker that may stay, over the real due set and its bell."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.adapters.upstash.budgets import UpstashBudgetBook
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.wake import RedisWakeListener
from core.crews.lessons import NoLessons
from core.crews.run import Worker
from core.crews.run_step import Timing
from core.crews.work import Session, StepTask
from core.errors import UnavailableError
from core.flows import Status
from functions import _worker_loop, sweep
from infra.local.processes import LocalError, Processes, free_port
from tests.fixtures_ports import Flows, a_launch, over_redis
from tests.fixtures_servers import Rest, start_gateway, start_valkey, unavailable
from tests.worker_parts import a_crew

TIMING = Timing(lease_seconds=0.6, beat_seconds=0.2, step_seconds=1)


class Quick:
    """Answers at once."""

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        del session
        return {"output": work.prompt.step, "raw": work.prompt.step}


class Deaf:
    """A bell that rings for nobody."""

    def listen(self) -> contextlib.AbstractAsyncContextManager[AsyncIterator[object]]:
        raise UnavailableError("no subscriptions here")


@pytest.fixture
def gateway(processes: Processes, tmp_path: Path) -> Rest:
    """A store without the flows that other tests leave behind: workers look at all of them."""
    try:
        return start_gateway(processes, start_valkey(processes, tmp_path, free_port()))
    except LocalError as error:
        unavailable(error)


@pytest.fixture
def flows(gateway: Rest) -> Flows:
    return over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)


def a_worker(flows: Flows, gateway: Rest) -> Worker:
    book = UpstashBudgetBook(RetryingClient(HttpRedis(gateway.url, gateway.token)))
    return Worker(flows.ledger, book, flows.wake_queue, Quick(), NoLessons(), TIMING)


async def ended_after(flows: Flows, flow: str) -> float:
    began = time.monotonic()
    async with asyncio.timeout(10):
        while not (await flows.log.head(flows.tenant, flow)).status.terminal:  # noqa: ASYNC110 -- the store tells no event
            await asyncio.sleep(0.005)
    return time.monotonic() - began


def launch(flow: str) -> Any:
    return a_launch(flow, definition=a_crew().model_dump(mode="json"))


async def test_a_wake_up_is_heard_at_once_however_long_the_worker_was_idle(
    flows: Flows, gateway: Rest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_worker_loop, "IDLE_SECONDS", (5.0, 5.0))
    bell = RedisWakeListener(HttpPubSub(gateway.url, gateway.token))
    stopping = asyncio.Event()
    serving = asyncio.create_task(
        _worker_loop.serve(a_worker(flows, gateway), bell, stopping.is_set)
    )
    await asyncio.sleep(0.5)
    await flows.ledger.create(flows.tenant, launch("f1"))
    await flows.wake_queue.enqueue(flows.tenant, "f1")
    took = await ended_after(flows, "f1")
    print(f"{took * 1000:.0f} ms from the wake-up to the end")
    assert took < 2
    serving.cancel()


async def test_a_worker_that_hears_nothing_finds_what_is_due(flows: Flows, gateway: Rest):
    stopping = asyncio.Event()
    serving = asyncio.create_task(
        _worker_loop.serve(a_worker(flows, gateway), Deaf(), stopping.is_set)
    )
    await flows.ledger.create(flows.tenant, launch("f1"))
    await ended_after(flows, "f1")
    assert (await flows.log.head(flows.tenant, "f1")).status is Status.SUCCEEDED
    stopping.set()
    async with asyncio.timeout(5):
        await serving


async def test_a_sweep_wakes_what_is_due_and_nothing_else(flows: Flows):
    class Counting:
        def __init__(self) -> None:
            self.woken: list[tuple[str, str]] = []

        async def enqueue(self, tenant: str, flow: str) -> None:
            self.woken.append((tenant, flow))

    wake = Counting()
    await flows.ledger.create(flows.tenant, launch("f1"))
    await sweep.sweep(flows.ledger, wake)
    await sweep.sweep(flows.ledger, wake)
    assert wake.woken.count((flows.tenant, "f1")) == 1

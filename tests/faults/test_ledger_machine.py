"""Any sequence of calls, also late, doubled and with lost replies, leaves ledger and book whole."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from core.adapters.memory import MemoryFlows
from core.adapters.upstash import calls
from core.adapters.upstash.http import HttpRedis
from core.costs.rollup import day_of
from tests.faulty import a_share_dropped, faulty
from tests.fixtures_ports import Flows, in_memory, over_redis, own_keys
from tests.ledger_machine import LedgerMachine
from tests.ledger_world import World, settled_down

T = TypeVar("T")
LONG = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class InMemory:
    """The memory adapters, with a clock that goes only when it is told to."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._now_ms = 1_764_028_800_000
        self._memory = MemoryFlows(lambda: self._now_ms)
        memory = self._memory
        self.flows = in_memory(memory)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(call)

    def pass_time(self) -> None:
        self._now_ms += 2

    def end_time(self, flow: str) -> None:
        record = self._memory.record("t1", flow)
        record.flow = replace(record.flow, deadline_ms=self._now_ms)

    def now_ms(self) -> float:
        return self._now_ms

    def due_at(self, flow: str) -> float | None:
        return self._memory.due_at("t1", flow)

    def today(self) -> str:
        return day_of(self._now_ms)


class OverRedis:
    """The Upstash adapters over the real gateway, through a network that may lose replies."""

    def __init__(self, runner: asyncio.Runner, flows: Flows, direct: HttpRedis) -> None:
        self.flows, self._runner, self._direct = flows, runner, direct

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(call)

    def pass_time(self) -> None:
        self._runner.run(settled_down())

    def end_time(self, flow: str) -> None:
        key = self.flows.keys.flow(self.flows.tenant, flow)
        self._runner.run(self._direct.execute(["HSET", key, "deadline", 1]))

    def now_ms(self) -> float:
        return time.time() * 1000

    def due_at(self, flow: str) -> float | None:
        keys, tenant = self.flows.keys, self.flows.tenant
        due = ["ZSCORE", keys.due(tenant), flow]
        index = ["ZSCORE", keys.due_index(keys.tag(tenant)), tenant]
        at, tenant_at = self._runner.run(self._direct.pipeline([due, index]))
        if at is None:
            return None
        assert float(tenant_at) <= max(float(at), time.time() * 1000)
        return float(at)

    def today(self) -> str:
        return datetime.now(UTC).date().isoformat()


@contextlib.contextmanager
def over_gateway(
    rest, lost: float = 0.0, seed: int = 1, lua_folder: Path = calls.FOLDER
) -> Iterator[OverRedis]:
    """Yield a world over the gateway in which a share of all replies is lost."""
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        network = faulty(rest.url, a_share_dropped(lost, seed))
        url = runner.run(network.__aenter__())
        stack.callback(lambda: runner.run(network.__aexit__(None, None, None)))
        flows = over_redis(HttpRedis(url, rest.token), rest.url, rest.token, lua_folder, own_keys())
        yield OverRedis(runner, flows, HttpRedis(rest.url, rest.token))


def played(world: World, how_long: settings = LONG) -> None:
    """Let machines run in this world; raise what they find."""

    class Machine(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(Machine, settings=how_long)


def test_the_memory_adapters_keep_what_the_ports_promise():
    with asyncio.Runner() as runner:
        played(InMemory(runner))


@pytest.mark.timeout(300)
def test_the_scripts_keep_what_the_ports_promise_when_replies_are_lost(gateway):
    seed = time.time_ns() % 1000
    print("seed", seed)
    with over_gateway(gateway, lost=0.05, seed=seed) as world:
        played(world)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_flows_are_kept_whole(gateway):
    with over_gateway(gateway, lost=0.05) as world:
        played(world, settings(LONG, max_examples=1000, phases=[Phase.generate]))

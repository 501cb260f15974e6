"""How long a flow stands still when its worker is killed, beyond the lease that must run out.

An idle worker that is warm takes it up. What it waits for is told in parts: that the flow becomes due
(its place in the due set may lie behind the end of the lease), that the worker looks at the due
set, that it claims the step, which is the first event.
"""

import asyncio
import itertools
import json
import secrets
import statistics
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks.crew_flows import until_ended
from benchmarks.parts import TENANT, Parts
from benchmarks.report import Figure
from core.adapters.upstash.keys import Keyspace
from core.errors import NotFoundError
from core.flows import Flow

LEASE_SECONDS, BEAT_SECONDS = 3.0, 1.0
TIMING = {"CREWLINE_LEASE_SECONDS": "3", "CREWLINE_BEAT_SECONDS": "1"}
LOOK_SECONDS, HELD_SECONDS, FOUND_SECONDS = 0.003, 30.0, 30.0
STRIDE = 0.618034  # of the golden ratio: the moments of the kills fall evenly


@dataclass(frozen=True, slots=True)
class Standstill:
    """The time from a kill to the next event, in milliseconds, by its parts."""

    lease: float  # that the dead worker still had
    due: float  # from then on until the flow was due
    found: float  # from then on until a worker took it from the due set
    claimed: float  # from then on until the step was claimed

    @property
    def beyond_lease(self) -> float:
        return self.due + self.found + self.claimed


async def resume(running: Parts, kills: int) -> Figure:
    """Kill workers, at moments that are spread over two leases."""
    stood = list[Standstill]()
    for kill in itertools.count(1):
        if len(stood) == kills:
            break
        after = BEAT_SECONDS / 4 + (kill * STRIDE % 1) * 2 * LEASE_SECONDS
        if found := await _killed(running, after):
            stood.append(found)
    parts = {
        name: statistics.median(getattr(each, name) for each in stood)
        for name in ("lease", "due", "found", "claimed")
    }
    beyond = sorted(each.beyond_lease for each in stood)
    seen = (
        f"{len(stood)} kills, {beyond[0]:.0f} to {beyond[-1]:.0f} ms; lease of {LEASE_SECONDS:g} s; medians: "
        f"lease left {parts['lease']:.0f}, due after it {parts['due']:.0f}, found"
        f" {parts['found']:.0f}, claimed {parts['claimed']:.0f}"
    )
    return Figure("resume_ms_p50", round(statistics.median(beyond), 1), "<= 100", seen)


async def _killed(running: Parts, after_seconds: float) -> Standstill | None:
    """Kill a worker so long after its claim; None if another worker had the flow."""
    flow = f"fl_{secrets.token_hex(16)}"
    command = [sys.executable, "-m", "benchmarks.crew_victim", flow]
    running.processes.start("victim", command, environ={**running.environ, **TIMING})
    await _held(running, flow)
    await asyncio.sleep(after_seconds)
    killed_ms = _ms(await running.redis().execute(["TIME"]))
    running.processes.kill("victim")
    state = await running.ledger().state(TENANT, flow)
    if state.steps[0].state != "running" or state.steps[0].epoch != 1:
        return None
    stood = await _stood(running, state, killed_ms)
    await until_ended(running, flow)
    return stood


async def _held(running: Parts, flow: str) -> None:
    """Wait until the flow's step is claimed."""
    async with asyncio.timeout(HELD_SECONDS):
        while not await _is_claimed(running, flow):
            running.processes.check()
            await asyncio.sleep(LOOK_SECONDS)


async def _is_claimed(running: Parts, flow: str) -> bool:
    try:
        return (await running.ledger().state(TENANT, flow)).steps[0].epoch > 0
    except NotFoundError:  # the process is being loaded
        return False


async def _stood(running: Parts, state: Flow, killed_ms: float) -> Standstill:
    """Watch the flow and its place in the due set until there is an event."""
    redis, places = running.redis(), list[float]()
    look = [
        ["HMGET", Keyspace().flow(TENANT, state.id), "seq", f"step:{state.steps[0].id}"],
        ["ZSCORE", Keyspace().due(TENANT), state.id],
    ]
    async with asyncio.timeout(FOUND_SECONDS):
        while True:
            (last, step), place = await redis.pipeline(look)
            if int(last) > state.head.last_event:
                return _parts(killed_ms, state.steps[0].lease_ms, places, json.loads(step))
            if [float(place)] != places[-1:]:
                places.append(float(place))
            await asyncio.sleep(LOOK_SECONDS)


def _parts(
    killed_ms: float, lease_ms: float, places: list[float], claimed: dict[str, Any]
) -> Standstill:
    """Reckon all times from what the store noted, in its own time.

    A look at the due set puts a flow off by a lease, a claim holds it for one; `places` are those
    that it had before the claim. If the last one was in the past, the look was not seen.
    """
    whole_ms = LEASE_SECONDS * 1000
    claim_ms = claimed["lease"] - whole_ms
    taken_ms, due_ms = claim_ms, places[-1]
    if due_ms > claim_ms:
        taken_ms, due_ms = places[-1] - whole_ms, places[-2]
    due_ms = max(due_ms, lease_ms)
    return Standstill(
        lease_ms - killed_ms, due_ms - lease_ms, taken_ms - due_ms, claim_ms - taken_ms
    )


def _ms(time: list[str]) -> float:
    return int(time[0]) * 1000 + int(time[1]) / 1000

"""Flows that tell something, over the real store, and what a reader made of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clients.crewline import AsyncCrewline
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, StepWrite
from core.flows import Status, events
from tests.fixtures_api import Api
from tests.fixtures_ports import Flows, a_launch

LEASE_MS = 60_000


async def begun(flows: Flows, flow: str = "f1") -> Claim:
    """A flow whose first step is under way: four events."""
    await flows.ledger.create(flows.tenant, a_launch(flow))
    step = (await flows.ledger.state(flows.tenant, flow)).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, flow, step, owner="w", lease_ms=LEASE_MS, events=events.step_started("one", 1)
    )
    assert isinstance(claim, Claim)
    return claim


async def tell(flows: Flows, claim: Claim, numbers: Sequence[int], pause: float = 0.0) -> None:
    """Count; each fifth time the state changes as well."""
    for number in numbers:
        told = events.custom("count", {"number": number, "text": "ünicode\n" * (number % 7)})
        if number % 5 == 0:
            await _use(flows, claim, number)
        await flows.ledger.emit(claim, number, LEASE_MS, StepWrite(told))
        await asyncio.sleep(pause)


async def _use(flows: Flows, claim: Claim, number: int) -> None:
    usage = Usage(calls=1, input_tokens=number)
    call = Call(
        claim.tenant, claim.flow, claim.step, claim.epoch, number, "m", "c", claim.step, usage
    )
    await flows.calls.reserve(call)
    await flows.calls.settle(call, usage, [])


async def ended(flows: Flows, flow: str = "f1") -> None:
    finished = events.run_finished(flow, 1)
    await flows.ledger.transition(
        flows.tenant, flow, Status.SUCCEEDED, status_epoch=0, events=finished, output="done"
    )


@dataclass(frozen=True)
class Reading:
    """What came out of following a flow."""

    cursors: list[str]
    events: list[dict[str, Any]]
    state: dict[str, Any] | None

    @property
    def numbers(self) -> list[int]:
        """The events' own numbers: 1, 2, 3 if none was lost or repeated."""
        return [int(cursor.rpartition(".")[2]) for cursor in self.cursors]

    @property
    def counted(self) -> list[int]:
        return [e["value"]["number"] for e in self.events if e.get("name") == "count"]


async def read(client: AsyncCrewline, flow: str = "f1", cursor: str | None = None) -> Reading:
    reading = client.follow(flow, cursor)
    cursors: list[str] = []
    told: list[dict[str, Any]] = []
    async for event in reading:
        cursors.append(reading.cursor or "")
        told.append(event)
    return Reading(cursors, told, reading.state)


def token(api: Api, flows: Flows) -> str:
    return api.auth(flows.tenant)["authorization"].removeprefix("Bearer ")

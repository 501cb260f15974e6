"""Flows that are written while somebody watches, and what their logs then hold."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.crews.ledger import Claim, StepWrite
from core.flows import Status, events
from tests.fixtures_ports import Flows, a_launch

LEASE_MS = 60_000


@dataclass
class Story:
    """A flow under way, of which more may be told."""

    flows: Flows
    flow: str
    claim: Claim
    told: int = 0

    async def tell(self, count: int, pause_seconds: float = 0.0) -> None:
        """Append `count` events, of many sizes and languages."""
        for _ in range(count):
            self.told += 1
            text = "ünicode 本\r\n\u2028<script>" * (self.told % 7)
            written = events.custom("count", {"seq": self.told, "text": text})
            await self.flows.ledger.emit(self.claim, self.told, LEASE_MS, StepWrite(written))
            await asyncio.sleep(pause_seconds)

    async def end(self) -> None:
        """Let the flow succeed."""
        end = events.run_finished(self.flow, 1)
        await self.flows.ledger.transition(
            self.flows.tenant, self.flow, Status.SUCCEEDED, status_epoch=0, events=end, output=1
        )

    async def tell_all(self, count: int, pause_seconds: float) -> None:
        """Tell and end."""
        await self.tell(count, pause_seconds)
        await self.end()

    async def log(self) -> tuple[list[str], list[str]]:
        """Return the cursors and the events as JSON: what a viewer must have seen."""
        head = await self.flows.log.head(self.flows.tenant, self.flow)
        entries = await self.flows.log.entries(self.flows.tenant, self.flow, 0, 100_000)
        return [head.cursor(entry.number) for entry in entries], [entry.json for entry in entries]

    async def state(self) -> dict[str, Any]:
        """Return what GET /v1/flows/{id} says."""
        return (await self.flows.log.snapshot(self.flows.tenant, self.flow)).public()


async def begin(flows: Flows, flow: str = "f1") -> Story:
    """Create a flow and claim its first step."""
    await flows.ledger.create(flows.tenant, a_launch(flow))
    step = (await flows.ledger.state(flows.tenant, flow)).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, flow, step, owner="w", lease_ms=LEASE_MS, events=events.step_started("one", 1)
    )
    assert isinstance(claim, Claim)
    return Story(flows, flow, claim)


async def begin_all(flows: Flows, count: int) -> Sequence[Story]:
    """Create several flows."""
    return [await begin(flows, f"f{number}") for number in range(count)]

"""Flows that live while a test watches, and a reader as strict as a browser's EventSource."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import httpx_sse

from core.crews.ledger import Claim, StepWrite
from core.errors import UnavailableError
from core.flows import Status, events
from tests.fixtures_ports import Flows, a_launch

T = TypeVar("T")
LEASE_MS = 60_000
AGAIN_SECONDS = 0.25  # where no event came, with which httpx-sse hands on the stream's own wait
FIRST_EVENTS = 4  # RUN_STARTED, STATE_SNAPSHOT; the claim's STATE_DELTA and STEP_STARTED


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer, however long the outage."""
    while True:
        try:
            return await call()
        except UnavailableError:
            await asyncio.sleep(0.05)


@dataclass
class Teller:
    """The worker of a flow, which does not give up."""

    flows: Flows
    claim: Claim
    told: int = 0

    async def tell(self, text: str = "") -> None:
        """Append the next event: its value is its place and `text`."""
        self.told += 1
        write = StepWrite(events.custom("told", {"seq": self.told, "text": text}))
        await insist(lambda: self.flows.ledger.emit(self.claim, self.told, LEASE_MS, write))

    async def end(self) -> None:
        """Let the flow succeed."""
        tenant, flow = self.claim.tenant, self.claim.flow
        finished = events.run_finished(flow, self.told)
        await insist(
            lambda: self.flows.ledger.transition(
                tenant, flow, Status.SUCCEEDED, status_epoch=0, events=finished
            )
        )


async def begun(flows: Flows, flow: str) -> Teller:
    """Return the worker of a new flow that runs."""
    await flows.ledger.create(flows.tenant, a_launch(flow))
    step = (await flows.ledger.state(flows.tenant, flow)).steps[0]
    told = events.step_started(step.id, 1)
    claim = await flows.ledger.claim(
        flows.tenant, flow, step, owner="w", lease_ms=LEASE_MS, events=told
    )
    assert isinstance(claim, Claim)
    return Teller(flows, claim)


@dataclass
class Seen:
    """What a reader saw of one flow, over all its connections."""

    ids: list[str] = field(default_factory=list[str])
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    connections: int = 0
    newest_at: float = 0.0  # on the monotonic clock

    @property
    def numbers(self) -> list[int]:
        return [int(event_id.partition(".")[2]) for event_id in self.ids]

    @property
    def told(self) -> list[int]:
        return [event["value"]["seq"] for event in self.events if event.get("name") == "told"]

    def is_whole(self, teller: Teller) -> bool:
        """Every number once and in order, everything that was told, and the end as the last."""
        return (
            self.numbers == list(range(1, len(self.ids) + 1))
            and self.told == list(range(1, teller.told + 1))
            and self.events[-1]["type"] == "RUN_FINISHED"
        )


Cut = Callable[[], bool]  # asked after each event


async def read(http: httpx.AsyncClient, flow: str, cut: Cut = lambda: False) -> Seen:
    """Read a flow until 204; come back after `retry:`, at once after a cut of its own.

    Raises AssertionError for an answer that would end an EventSource for good.
    """
    seen = Seen()
    while (wait := await _connection(http, flow, seen, cut)) is not None:  # noqa: ASYNC110 -- it is the protocol
        await asyncio.sleep(wait)
    return seen


async def _connection(http: httpx.AsyncClient, flow: str, seen: Seen, cut: Cut) -> float | None:
    """Return the seconds to wait before the next one; None when there is to be none."""
    seen.connections += 1
    wait = AGAIN_SECONDS
    cursor = {"last-event-id": seen.ids[-1]} if seen.ids else {}
    url = f"/v1/flows/{flow}/events"
    with contextlib.suppress(httpx.TransportError):
        async with http.stream("GET", url, headers=cursor) as answer:
            if answer.status_code == httpx.codes.NO_CONTENT:
                return None
            assert answer.status_code == httpx.codes.OK, answer.status_code
            async for event in httpx_sse.EventSource(answer).aiter_sse():
                wait = (event.retry or wait * 1000) / 1000
                seen.ids.append(event.id)
                seen.events.append(event.json())
                seen.newest_at = time.monotonic()
                if cut():
                    return 0.0
    return wait

"""A flow's course: launched, changed 40 times as a worker changes it, and ended.

Ten steps; each is claimed, uses a model twice and is committed; the last change ends the flow (and
takes the place of its step's second model call). What is written is what Crewline's worker writes,
without the agents' texts: those are no part of the state that is polled.
"""

import random
import secrets
import time
from collections.abc import AsyncGenerator

from benchmarks.parts import TENANT
from core.adapters.upstash.call_ledger import UpstashCallLedger
from core.adapters.upstash.ledger import UpstashRunLedger
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, Launch, StepWrite
from core.flows import Status, Step, events

STEP_BYTES = 167  # of the public state
REST_BYTES = 260
LEASE_MS = 600_000
USAGE = Usage(1, 1412, 356, 425_400)
WORDS = [
    "check",
    "compare",
    "draft",
    "collect",
    "match",
    "rate",
    "sort",
    "merge",
    "explain",
    "customer",
    "invoice",
    "column",
    "address",
    "table",
    "record",
    "answer",
    "source",
    "claim",
    "every",
    "first",
    "known",
    "open",
    "missing",
    "quarterly",
    "against",
    "with",
    "from",
    "of",
]


def steps(state_bytes: int) -> tuple[Step, ...]:
    """Return the steps of a flow whose public state takes about so many bytes as JSON."""
    count = max(10, (state_bytes - REST_BYTES) // STEP_BYTES)
    words = random.Random(count)  # noqa: S311 -- the same titles in every run
    return tuple(
        Step(f"step_{n:03}", " ".join(words.choices(WORDS, k=11))[:52], "analyst")
        for n in range(count)
    )


async def launched(ledger: UpstashRunLedger, state_bytes: int) -> str:
    """Create a flow that is queued; return its id."""
    flow, now_ms = f"fl_{secrets.token_hex(16)}", int(time.time() * 1000)
    definition = {"name": "research"}
    launch = Launch(
        flow=flow,
        digest=flow,
        incarnation=secrets.token_hex(4),
        crew="research",
        definition=definition,
        definition_digest="d" * 64,
        inputs={},
        steps=steps(state_bytes),
        created_ms=now_ms,
    )
    await ledger.create(TENANT, launch)
    return flow


async def claimed(ledger: UpstashRunLedger, flow: str, step: Step) -> Claim:
    """Begin a step."""
    told = _now(events.step_started(step.id, 1))
    claim = await ledger.claim(
        TENANT, flow, step, owner=secrets.token_hex(8), lease_ms=LEASE_MS, events=told
    )
    assert isinstance(claim, Claim)  # noqa: S101 -- nobody else works on this flow
    return claim


async def changes(
    ledger: UpstashRunLedger, call_ledger: UpstashCallLedger, flow: str
) -> AsyncGenerator[None]:
    """Make the next of the 40 changes each time this is resumed."""
    for number, step in enumerate(steps(0)):
        claim = await claimed(ledger, flow, step)
        yield
        calls = 2 if number < 9 else 1  # noqa: PLR2004 -- of ten steps, the last
        for call in range(1, calls + 1):
            await _use(call_ledger, claim, call)
            yield
        done = StepWrite(_now(events.step_finished(step.id)))
        await ledger.commit(claim, 1, {"output": "done"}, done)
        yield
    end = _now(events.run_finished(flow, "All ten steps are done."))
    await ledger.transition(
        TENANT, flow, Status.SUCCEEDED, status_epoch=0, events=end, output="All ten steps are done."
    )
    yield


async def _use(call_ledger: UpstashCallLedger, claim: Claim, number: int) -> None:
    call = Call(
        claim.tenant, claim.flow, claim.step, claim.epoch, number,
        "gpt-4o-mini", "research", claim.step, USAGE,
    )  # fmt: skip
    await call_ledger.reserve(call)
    await call_ledger.settle(call, USAGE, _now(events.model_call(claim.step, call.model, USAGE)))


def _now(told: list[events.Event]) -> list[events.Event]:
    return events.stamped(told, int(time.time() * 1000))

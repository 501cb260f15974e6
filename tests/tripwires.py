"""Tripwires: a worker that sends itself a signal right after it passed a boundary.

A boundary is a moment after which something lasts that did not before: a step is `claimed`, money
`reserved`, a model `called`, a call `settled`, a result `committed`, a flow `created`, `extended`
(by steps) or `moved` (to another status), what is due `taken`, a claim `released`, a large value
`stored`, what a flow decided `learnt`, a worker `woken`. `committing`, `taking`, `releasing`, `storing`
and `learning` are just before. A trip is written `BOUNDARY[@STEP]:NUMBER[=SIGNAL]`, as in
`committed:3` or `called@two:1=STOP`; for a large value that is no step's, STEP is `output` or `draft`.
"""

import os
import re
import signal
from dataclasses import dataclass, field
from typing import Any, cast

from core.crews.ledger import Claim, RunLedger

_TRIP = re.compile(r"(?P<boundary>[a-z]+)(@(?P<step>[^:]+))?:(?P<number>\d+)(=(?P<signal>\w+))?")
BOUNDARIES = ("claimed", "reserved", "called", "committed", "woken")
MORE_BOUNDARIES = ("settled", "committing", "extended", "moved")
RELEASES = ("releasing", "released")  # passed where steps are put off
VALUES = ("storing", "stored")  # passed where results are large


@dataclass
class Tripwire:
    """Counts boundaries, and pulls at the one that the trip names."""

    trip: str = ""
    seen: int = field(default=0, init=False)

    def passed(self, boundary: str, step: str = "") -> None:
        """Take note of a boundary; does not return if this was the one to be killed at."""
        wanted = _TRIP.fullmatch(self.trip)
        if wanted is None or wanted["boundary"] != boundary or wanted["step"] not in (None, step):
            return
        self.seen += 1
        if self.seen == int(wanted["number"]):
            os.kill(os.getpid(), getattr(signal, f"SIG{wanted['signal'] or 'KILL'}"))


class _Wired:
    """A port with a tripwire; what it does not wire it passes on."""

    def __init__(self, port: Any, wire: Tripwire) -> None:
        self._port, self._wire = port, wire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


class WiredLedger(_Wired):
    """RunLedger."""

    async def create(self, tenant: str, launch: Any) -> bool:
        new = await self._port.create(tenant, launch)
        self._wire.passed("created")
        return new

    async def claim(self, tenant: str, flow: str, step: Any, **given: Any) -> Any:
        claim = await self._port.claim(tenant, flow, step, **given)
        if isinstance(claim, Claim):
            self._wire.passed("claimed", claim.step)
        return claim

    async def add_steps(self, tenant: str, known: Any, steps: Any) -> Any:
        state = await self._port.add_steps(tenant, known, steps)
        self._wire.passed("extended")
        return state

    async def commit(self, claim: Claim, *given: Any) -> Any:
        self._wire.passed("committing", claim.step)
        state = await self._port.commit(claim, *given)
        self._wire.passed("committed", claim.step)
        return state

    async def release(self, claim: Claim, *given: Any, **more: Any) -> None:
        self._wire.passed("releasing", claim.step)
        await self._port.release(claim, *given, **more)
        self._wire.passed("released", claim.step)

    async def lease(self, *given: Any) -> Any:
        self._wire.passed("taking")
        due = await self._port.lease(*given)
        if due.items:
            self._wire.passed("taken")
        return due

    async def transition(self, *given: Any, **more: Any) -> None:
        await self._port.transition(*given, **more)
        self._wire.passed("moved")


class WiredCalls(_Wired):
    """CallLedger."""

    async def reserve(self, call: Any) -> Any:
        refusal = await self._port.reserve(call)
        self._wire.passed("reserved", call.step)
        return refusal

    async def settle(self, call: Any, *given: Any) -> None:
        await self._port.settle(call, *given)
        self._wire.passed("settled", call.step)


class WiredBlobs(_Wired):
    """BlobStore."""

    def put(self, tenant: str, blob: str, *given: Any) -> None:
        parts = blob.split(
            "/"
        )  # flows/FLOW/INCARNATION/ then results/STEP/EPOCH, drafts/… or output
        what = parts[4] if parts[3] == "results" else parts[3].removesuffix("s")
        self._wire.passed("storing", what)
        self._port.put(tenant, blob, *given)
        self._wire.passed("stored", what)


class WiredWakeQueue(_Wired):
    """WakeQueue."""

    async def enqueue(self, tenant: str, flow: str) -> None:
        await self._port.enqueue(tenant, flow)
        self._wire.passed("woken")


def wired_ledger(ledger: RunLedger, wire: Tripwire) -> RunLedger:
    """Return the ledger with a tripwire."""
    return cast("RunLedger", WiredLedger(ledger, wire))

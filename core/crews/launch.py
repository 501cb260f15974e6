"""Launching: from a request to a flow that a worker will find.

A flow is created first and a worker wake_worker second. A wake-up that fails loses nothing, because the
flow is due from its creation on; failing the request instead would invite a second flow.
"""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.crews import clock, strategies
from core.crews.definition import Definition, Registry
from core.crews.ledger import Launch, RunLedger
from core.crews.wakeups import WakeQueue, wake_worker
from core.errors import InvalidInputError, NotFoundError


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What is asked for: a crew by its name, its inputs as they were sent, and who is to be told."""

    crew: str
    inputs: dict[str, Any]
    webhooks: dict[str, Any] = field(default_factory=dict[str, Any])

    def digest(self) -> str:
        """Tell this request from every other; a deploy that changes the crew does not change it."""
        asked = [self.crew, self.inputs, *([self.webhooks] if self.webhooks else [])]
        text = json.dumps(asked, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


async def launch_flow(
    ledger: RunLedger,
    wake_queue: WakeQueue,
    registry: Registry,
    *,
    tenant: str,
    request: LaunchRequest,
    idempotency_key: str | None,
    new_id: Callable[[], str],
    now_ms: int,
) -> tuple[str, bool]:
    """Create a flow and wake a worker; return the flow's id, and whether it is new.

    The same key with the same request names the same flow. `new_id` returns 32 random hex digits.
    Raises InvalidInputError for an unknown crew or inputs that do not fit it, ConflictError if
    the key was used for another request, UnavailableError.
    """
    definition = _definition(registry, request.crew)
    inputs = definition.fill(request.inputs)
    flow = flow_id(tenant, idempotency_key, new_id)
    created = await ledger.create(
        tenant,
        Launch(
            flow=flow,
            digest=request.digest(),
            incarnation=new_id()[:8],
            crew=definition.name,
            definition=definition.model_dump(mode="json"),
            definition_digest=definition.digest(),
            inputs=inputs,
            steps=strategies.initial_steps(definition),
            created_ms=now_ms,
            time_limit_ms=time_limit_ms(definition),
            webhooks=request.webhooks,
        ),
    )
    if created:
        await wake_worker(wake_queue, tenant, flow)
    return flow, created


def time_limit_ms(definition: Definition) -> int | None:
    """Return how long a flow of this crew may take, None if as long as it likes."""
    seconds = definition.limits.time_limit_seconds
    return None if seconds is None else int(seconds * 1000)


def flow_id(tenant: str, idempotency_key: str | None, new_id: Callable[[], str]) -> str:
    """Return the id that belongs to this tenant's key, or a random one where no key is sent."""
    if idempotency_key is None:
        return f"fl_{new_id()}"
    # No tenant has a NUL, so no two pairs make the same text.
    return "fl_" + hashlib.sha256(f"{tenant}\0{idempotency_key}".encode()).hexdigest()[:32]


def run_key(thread: str, run: str) -> str:
    """Return the key of an AG-UI run. It has a NUL, so it is the Idempotency-Key of no request."""
    return "agui\0" + json.dumps([thread, run])


def _definition(registry: Registry, crew: str) -> Definition:
    try:
        return registry.get(crew)
    except NotFoundError as error:
        raise InvalidInputError(str(error), {"/crew": "must be one of the crews here"}) from error


def _random_id() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Launcher:
    """Launches crews with the ports of one process. `new_id` returns 32 random hex digits."""

    ledger: RunLedger
    wake_queue: WakeQueue
    registry: Registry
    new_id: Callable[[], str] = _random_id
    now_ms: Callable[[], int] = clock.now_ms

    async def launch(
        self, tenant: str, request: LaunchRequest, idempotency_key: str | None
    ) -> tuple[str, bool]:
        """Create a flow and wake a worker; see `launch_flow`."""
        return await launch_flow(
            self.ledger,
            self.wake_queue,
            self.registry,
            tenant=tenant,
            request=request,
            idempotency_key=idempotency_key,
            new_id=self.new_id,
            now_ms=self.now_ms(),
        )

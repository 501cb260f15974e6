"""Launching: from a request to a flow that a worker will find.

A flow is created first and a worker woken second. A wake-up that fails loses nothing, because the
flow is due from its creation on; failing the request instead would invite a second flow.
"""

import asyncio
import hashlib
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core import cpu, time_of_day
from core.blobs import BlobStore, in_thread
from core.crews import flow_ids, strategies
from core.crews.definition import Definition, Registry, schemas
from core.crews.ledger import Launch, RunLedger
from core.crews.wakeups import WakeQueue, wake_worker
from core.errors import InvalidInputError, NotFoundError, UnavailableError

log = logging.getLogger(__name__)

_NO_UPLOAD = "no such input: upload it first, with POST /v1/inputs"
_STORE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What is asked for: a crew by its name, its inputs as they were sent, and who is to be told."""

    crew: str
    inputs: dict[str, Any]
    webhooks: dict[str, Any] = field(default_factory=dict[str, Any])

    def digest(self) -> str:
        """Tell a request from every other; a deploy that changes the crew does not change it."""
        asked = [self.crew, self.inputs, *([self.webhooks] if self.webhooks else [])]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A request that can be launched: its crew, its digest, and the inputs that the crew will have."""

    definition: Definition
    digest: str
    inputs: dict[str, Any]


def _looked_at(asked: tuple[Definition, LaunchRequest]) -> tuple[str, dict[str, Any]]:
    """Return the request's digest, and the inputs that the crew will have."""
    definition, request = asked
    return request.digest(), definition.with_defaults(request.inputs)


def _random_id() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Launcher:
    """Launches crews with the ports of one process.

    `blobs` is asked for when a crew takes an upload. `new_id` returns 32 random hex digits.
    """

    ledger: RunLedger
    wake_queue: WakeQueue
    registry: Registry
    blobs: Callable[[], BlobStore] | None = None
    new_id: Callable[[], str] = _random_id
    now_ms: Callable[[], int] = time_of_day.now_ms

    async def launch(
        self,
        tenant: str,
        request: LaunchRequest,
        idempotency_key: str | None,
        subject: str | None = None,
        check: Callable[[], object] = lambda: None,
    ) -> tuple[str, bool]:
        """Create a flow and wake a worker; return the flow's id, and whether it is new.

        The same key with the same request names the same flow, whose state says which `subject`
        launched it, even if the request would be refused today: a crew, an upload, an address may
        be gone. Raises InvalidInputError for an unknown or broken crew and for inputs that do
        not fit it, what `check` raises, ConflictError if the key was used for another request,
        UnavailableError.
        """
        flow = flow_ids.of_launch(tenant, idempotency_key, self.new_id)
        try:
            check()
            accepted = await self._accepted(tenant, request)
        except (InvalidInputError, NotFoundError):
            if idempotency_key is None or not await self.has_made(tenant, flow, request):
                raise
            return flow, False
        launch = self._launch(flow, accepted, request.webhooks, subject)
        created = await self.ledger.create(tenant, launch)
        if created:
            log.info("launched", extra={"flow": flow, "crew": launch.crew})
            await wake_worker(self.wake_queue, tenant, flow)
        return flow, created

    async def _accepted(self, tenant: str, request: LaunchRequest) -> "_Accepted":
        """Return the crew that is asked for, with inputs that fit it. Raises InvalidInputError."""
        definition = _definition(self.registry, request.crew)
        digest, inputs = await cpu.run(tenant, _looked_at, (definition, request), rests=True)
        await self._uploads_are_there(tenant, definition, inputs)
        return _Accepted(definition, digest, inputs)

    def _launch(
        self, flow: str, accepted: "_Accepted", webhooks: dict[str, Any], subject: str | None
    ) -> Launch:
        definition, inputs = accepted.definition, accepted.inputs
        return Launch(
            flow=flow,
            digest=accepted.digest,
            incarnation=self.new_id()[:8],
            crew=definition.name,
            definition=definition.model_dump(mode="json"),
            definition_digest=definition.digest(),
            inputs=inputs,
            steps=strategies.initial_steps(definition.filled(inputs)),
            created_ms=self.now_ms(),
            time_limit_ms=time_limit_ms(definition),
            webhooks=webhooks,
            launched_by=subject,
        )

    async def has_made(self, tenant: str, flow: str, request: LaunchRequest) -> bool:
        """Tell whether this request made the flow. Raises ConflictError if another one did."""
        digest = await cpu.run(tenant, LaunchRequest.digest, request)
        return await self.ledger.created_by(tenant, flow, digest)

    async def _uploads_are_there(
        self, tenant: str, definition: Definition, inputs: dict[str, Any]
    ) -> None:
        """Raise InvalidInputError for the id of an upload that is not there.

        A store that does not answer quickly is not waited for: the step that reads it will say so.
        """
        ids = schemas.input_ids(definition.inputs, inputs)
        if not ids or self.blobs is None:
            return
        sizes = (_size(self.blobs(), tenant, blob) for blob in ids.values())
        found = dict(zip(ids, await asyncio.gather(*sizes), strict=True))
        pointers = {f"/inputs/{name}": _NO_UPLOAD for name, there in found.items() if not there}
        if pointers:
            raise InvalidInputError(f"the inputs do not fit the crew {definition.name}", pointers)


async def _size(blobs: BlobStore, tenant: str, blob: str) -> int:
    """Return how large an upload is, 0 for none; 1 where the store does not say in time."""
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            return await in_thread(blobs.size, tenant, blob)
    except NotFoundError:
        return 0
    except (UnavailableError, TimeoutError):
        return 1


def time_limit_ms(definition: Definition) -> int:
    """Return how long a flow of this crew may take."""
    return definition.time_limit_seconds() * 1000


def _definition(registry: Registry, crew: str) -> Definition:
    try:
        return registry.get(crew)
    except NotFoundError as error:
        raise InvalidInputError(str(error), {"/crew": "must be one of the crews here"}) from error

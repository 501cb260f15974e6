"""Control: what a person may do to a flow that is under way."""

import time

from core import events
from core.crews.ledger import FencedError, RunLedger
from core.errors import ConflictError
from core.flows import Flow, Status

TRIES = 5  # at a flow that moves between being read and being written
CANCELLED = "cancelled by request"


async def cancel(ledger: RunLedger, *, tenant: str, flow: str) -> Flow:
    """End a flow for good and return its state; one that was cancelled before stays as it is.

    No step is begun any more, and the one that runs is left at its next model call: whatever its
    worker writes from now on is refused. Raises ConflictError if the flow ended otherwise,
    NotFoundError, UnavailableError.
    """
    for _ in range(TRIES):
        state = await ledger.state(tenant, flow)
        if state.head.status is Status.CANCELLED:
            return state
        if state.head.status.terminal:
            raise ConflictError(f"the flow has {state.head.status.value} already")
        try:
            await _cancelled(ledger, tenant, state)
        except FencedError:
            continue  # it ended, or began to wait, since it was read
        return await ledger.state(tenant, flow)
    raise ConflictError("the flow changes too quickly: send the request again")


async def _cancelled(ledger: RunLedger, tenant: str, state: Flow) -> None:
    told = events.run_error(CANCELLED, Status.CANCELLED.value)
    await ledger.move(
        tenant,
        state.id,
        Status.CANCELLED,
        status_epoch=state.status_epoch,
        events=events.stamped(told, time.time_ns() // 1_000_000),
        error=CANCELLED,
    )

"""What every ledger does alike: telling transitions apart, and what the log says of a release."""

import hashlib
import json
from typing import Any

from core.crews.ledger import Claim, StepWrite
from core.flows import Status, events
from core.flows.events import Event


def transition_id(
    to: Status, output: Any, error: str | None, waiting: Any, answer: tuple[str, Any] | None
) -> str:
    """Return what tells a transition from every other: a hash of all that it brings.

    Two workers that bring a flow to the same end send the same one; two different answers of two
    people are different ones.
    """
    text = json.dumps([to.value, output, error, waiting, answer], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def release_events(claim: Claim, write: StepWrite, delay_ms: int, reason: str) -> list[Event]:
    """Return the events of a release: the write's, the end of an open message, why it is put off."""
    released = [*write.events, *(events.text_end(write.message) if write.message else [])]
    if delay_ms > 0:
        put_off = {"step": claim.step, "reason": reason, "retry_after_ms": delay_ms}
        released += events.custom("step_deferred", put_off)
    return released

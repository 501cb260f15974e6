"""The ends of a claimed step: its result is committed, or its attempt fails, or it is given back.

What an error means for the step and for the flow is told in `outcomes`.
"""

import logging
from typing import Any

from core.blobs import BlobRef
from core.crews.crew_runner import (
    BudgetExhaustedError,
    StepDeferredError,
    StepFailedError,
    StepTask,
)
from core.crews.deferrals import deferral
from core.crews.event_buffer import EventBuffer
from core.crews.ledger import ExpiredError, FencedError
from core.crews.outcomes import MoneyWait, Outcome, StepCrashedError, StepError
from core.crews.trials import answer_outcome
from core.errors import NotFoundError, TooLargeError, UnavailableError
from core.flows import Flow, events

log = logging.getLogger(__name__)


async def end_attempt(work: StepTask, buffer: EventBuffer, error: Exception) -> Outcome | MoneyWait:
    """Write what an error means for the step, and raise or return what it means for the flow."""
    match error:
        case StepDeferredError() | UnavailableError():
            # Of a tool's store, or its result's; if it is the ledger's own, so is the next one.
            return await _defer(buffer, work, error)
        case BudgetExhaustedError():
            await buffer.release(delay_ms=0, reason=str(error))
            return MoneyWait(error.refusal)
        case StepFailedError() | TooLargeError():
            await buffer.record_error(str(error))
            raise StepError(str(error)) from error
        case FencedError() | ExpiredError() | NotFoundError():
            raise error
        case _:
            await buffer.journal.forget_try()
            await buffer.record_error(f"the worker stopped with {type(error).__name__}")
            raise StepCrashedError(work.prompt.step) from error


async def _defer(
    buffer: EventBuffer, work: StepTask, error: StepDeferredError | UnavailableError
) -> Outcome:
    try:
        reason, delay_ms = deferral(error, work.deferrals)
    except StepFailedError as failed:
        await buffer.record_error(str(failed))
        raise StepError(str(failed)) from error
    await buffer.release(delay_ms=delay_ms, reason=reason)
    return Outcome.DEFERRED


async def commit(
    work: StepTask,
    buffer: EventBuffer,
    result: dict[str, Any] | BlobRef,
    known: Flow,
    deployed: str | None,
) -> Flow:
    """Store the result; what the store refuses it would refuse again, so the step has failed."""
    buffer.post(events.custom("agent_finished", work.who()))
    try:
        checked = work.definition.tasks[work.prompt.task].is_checked
        of = {"refused": buffer.tries.was_refused, "checked": checked}
        outcome = answer_outcome(work.choice, work.prompt, result, **of, deployed=deployed)
        return await buffer.commit(result, known, outcome)
    except (FencedError, ExpiredError, NotFoundError, UnavailableError):
        raise
    except Exception as error:
        log.exception("the store refuses the result")
        why = str(error) if isinstance(error, TooLargeError) else type(error).__name__
        message = f"its result could not be stored: {why}"
        await buffer.record_error(message)
        raise StepError(message) from error

"""AG-UI's interrupts: a flow that waits for a person ends the run with one, `resume` answers it.

Source: https://docs.ag-ui.com/spec/1.0/basic/patterns/interrupt-resume. The id of an interrupt
names the flow and the review, so any process finds the waiting flow, whichever thread or client
the answer comes from; the tenant is the token's.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from core.crews.control import FEEDBACK_CHARACTERS
from core.errors import InvalidInputError
from functions._http import apps, models

FEEDBACK_UNLESS_APPROVED: dict[str, Any] = {
    "if": {"properties": {"approve": {"const": False}}},
    "then": {"required": ["feedback"], "properties": {"feedback": {"minLength": 1}}},
}
REASON = "input_required"  # of AG-UI's own: structured input, of which the schema is given


class ReviewAnswer(BaseModel):
    """Whether the result may stand, or what should be different."""

    model_config = ConfigDict(
        extra="forbid", strict=True, title="Review", json_schema_extra=FEEDBACK_UNLESS_APPROVED
    )

    approve: Annotated[bool, Field(description="Whether the result may stand as it is.")]
    feedback: Annotated[
        str,
        Field(
            max_length=FEEDBACK_CHARACTERS,
            description="What should be different; needed unless you approve.",
        ),
    ] = ""


def interrupt_id(flow: str, review: str) -> str:
    """Return the id of the interrupt in which a flow asks for a review."""
    return f"{flow}:{review}"


def parse_id(interrupt: str) -> tuple[str, str]:
    """Return (flow, review). Raises InvalidInputError, NotFoundError if no flow has such an id."""
    flow, colon, review = interrupt.partition(":")
    if not colon or not review:
        pointer = {"/resume/0/interruptId": "must be the id of an interrupt"}
        raise InvalidInputError("the run cannot be resumed", pointer)
    return apps.possible_id(flow), review


def review_answer(payload: Any) -> ReviewAnswer:
    """Return what a person said, as the interrupt's schema asks. Raises InvalidInputError."""
    complaint = "the answer is not what was asked for"
    answer = models.parse(payload, ReviewAnswer, complaint, "resume", 0, "payload")
    if not answer.approve and not answer.feedback.strip():
        reason = "say what should be different, or approve"
        raise InvalidInputError(
            "an answer that says nothing", {"/resume/0/payload/feedback": reason}
        )
    return answer


def interrupt(flow: str, waiting: dict[str, Any], deadline_ms: int | None) -> dict[str, Any]:
    """Return the interrupt of a flow that waits; all that a generic UI needs to draw a form."""
    review = str(waiting.get("review", "wait"))
    found: dict[str, Any] = {
        "id": interrupt_id(flow, review),
        "reason": REASON,
        "message": str(waiting.get("message") or _question(waiting)),
        "responseSchema": ReviewAnswer.model_json_schema(),
        "metadata": waiting,
    }
    if deadline_ms is not None:
        found["expiresAt"] = datetime.fromtimestamp(deadline_ms / 1000, UTC).isoformat()
    return found


def _question(waiting: dict[str, Any]) -> str:
    agent, task = waiting.get("agent", "The crew"), waiting.get("task", "its task")
    return f"{agent} has finished {task}. Approve the result, or say what should be different."

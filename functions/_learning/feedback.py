"""POST /v1/feedback: what somebody says of an action, of a flow's result or of one column of it.

    {"task": "route", "context": {...}, "action": "billing", "outcome": "right"}
    {"task": "route", "context": {...}, "action": "billing", "correction": "refunds"}
    {"flow": "fl_...", "thumb": "down", "column": "ZIP_5", "correction": "postcode"}
    {"feedback": [..., ...]}

Who says it is the token's subject, so nobody speaks for others.
"""

import asyncio
import uuid
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap, cpu, time_of_day
from core.crews import thumbs
from core.errors import POINTERS, InvalidInputError
from core.identity import Principal
from core.learning.feedback import Feedback
from core.learning.patterns import Kind
from functions._http import bodies, models, times
from functions._learning.names import Action, Task

BODY_BYTES = 4 * 1024**2
MOST = 500  # in one request
COMPLAINT = "the body is no feedback"
CONFLICT = "another feedback was kept under this id; what is said here does not count"
Id = Annotated[str | None, Field(pattern=r"^[!-~]{1,200}$")]


class FeedbackBody(BaseModel):
    """One feedback. A `correction` says which action was right in place of `action`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Id = None
    task: Task
    context: dict[str, Any]
    action: Action
    outcome: Literal["right", "wrong"] | None = None
    correction: Action | None = None
    source: Literal["user", "outcome", "agent"] = "user"
    confidence: Annotated[float, Field(ge=0, le=1)] = 1.0
    at: Annotated[str | None, Field(max_length=40)] = None

    def feedback(self, subject: str, now_ms: int) -> Feedback:
        """Return what is kept. Raises ValueError for a wrong time, InvalidInputError."""
        if self.correction is not None and self.outcome == "right":
            raise InvalidInputError(COMPLAINT, {"/correction": "is for what was wrong"})
        given = Feedback(
            self.id or uuid.uuid4().hex,
            self.context,
            self.correction or self.action,
            subject,
            self.correction is not None or self.outcome != "wrong",
            Kind(self.source),
            self.confidence,
            _time_ms(self.at, now_ms),
        )
        given.check()
        return given


class ThumbBody(BaseModel):
    """What somebody says of a flow's result, or of one column that it has mapped."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Id = None
    flow: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    thumb: Literal["up", "down"]
    column: Annotated[str | None, Field(min_length=1, max_length=1000)] = None
    correction: Action | None = None

    def read(self, subject: str) -> thumbs.Thumb:
        """Return the thumb that this subject gives."""
        good = self.thumb == "up"
        return thumbs.Thumb(self.flow, good, subject, self.id, self.column, self.correction)


class BatchBody(BaseModel):
    """Several at once."""

    model_config = ConfigDict(extra="forbid", strict=True)

    feedback: Annotated[models.List[dict[str, Any]], Field(min_length=1, max_length=MOST)]


async def give(request: Request, who: Principal) -> Response:
    """Append feedback; answer which of it is new. Nothing counts unless all of it can."""
    bootstrap.seal_keys()  # without them nothing is learnt: said before anything is kept
    body = await bodies.read_json(request, BODY_BYTES)
    parsed = await cpu.run(who.tenant, _parsed, body)
    limit = asyncio.Semaphore(thumbs.FLOWS_AT_ONCE)
    said = await asyncio.gather(
        *(
            _said(who, f"/feedback/{at}" if _is_batch(body) else "", one, limit)
            for at, one in enumerate(parsed)
        )
    )
    fates = await thumbs.keep(bootstrap.feedback_log(), bootstrap.trials(), who.tenant, said)
    given = [pair for each in said for pair in each.given]
    told = [
        {"id": one.id, "task": task, "is_new": fate == "new"}
        | ({"conflict": CONFLICT} if fate == "conflict" else {})
        for (task, one), fate in zip(given, fates, strict=True)
    ]
    return JSONResponse({"accepted": fates.count("new"), "feedback": told}, 202)


def _parsed(body: Any) -> list[FeedbackBody | ThumbBody]:
    """Return the feedback of a body, of one or several. Raises InvalidInputError."""
    if not _is_batch(body):
        return [_one(body)]
    batch = models.parse(body, BatchBody, COMPLAINT)
    return [_one(one, "feedback", at) for at, one in enumerate(batch.feedback)]


def _is_batch(body: Any) -> bool:
    return isinstance(body, dict) and "feedback" in body


def _one(value: Any, *within: str | int) -> FeedbackBody | ThumbBody:
    kind = ThumbBody if isinstance(value, dict) and "flow" in value else FeedbackBody
    return models.parse(value, kind, COMPLAINT, *within)


async def _said(
    who: Principal, place: str, asked: FeedbackBody | ThumbBody, limit: asyncio.Semaphore
) -> thumbs.Said:
    """Return what is to be kept of what stands at this place of a body. Raises InvalidInputError, NotFoundError."""
    now_ms = time_of_day.now_ms()
    try:
        if isinstance(asked, FeedbackBody):
            kept = await cpu.run(who.tenant, partial(asked.feedback, who.subject), now_ms)
            return thumbs.Said([(asked.task, kept)])
        async with limit:
            return await _reader().read(who.tenant, asked.read(who.subject), now_ms)
    except InvalidInputError as error:
        found = {f"{place}{pointer}": why for pointer, why in error.pointers.items()}
        raise type(error)(str(error), dict(list(found.items())[:POINTERS])) from error


def _reader() -> thumbs.ThumbReader:
    return thumbs.ThumbReader(bootstrap.flow_log(), bootstrap.values(), bootstrap.lessons())


def _time_ms(text: str | None, now_ms: int) -> int:
    try:
        return times.time_ms(text, now_ms)
    except ValueError as error:
        raise InvalidInputError(COMPLAINT, {"/at": str(error)}) from error

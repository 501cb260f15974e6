"""GET /v1/learning, PUT /v1/learning/{task}, DELETE /v1/feedback: how it goes, back, and forgotten."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap, identity
from core.errors import InvalidInputError, NothingThereError, UnavailableError
from core.identity import Principal
from core.learning.feedback import FeedbackLog
from core.learning.models.pointer import Evaluation, Pointer
from functions._http import apps, models
from functions._learning import names

if TYPE_CHECKING:
    from core.learning.models.model_store import ModelStore

EVERY = "*"
NO_TASK = f"is missing; {EVERY} stands for all tasks"
MOST_TASKS = 100  # in one answer
AT_ONCE = 8
BODY_BYTES = 1024


class VersionBody(BaseModel):
    """The body of PUT /v1/learning/{task}: the model that is to answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Annotated[int, Field(ge=1, lt=2**53)]


async def tasks(request: Request, who: Principal) -> Response:
    """Answer with the models of tasks, and how each did when it was tried; of one `task` if it is named."""
    apps.refuse_unknown_parameters(request, "task", "after")
    asked, after = request.query_params.get("task"), request.query_params.get("after", "")
    known = await bootstrap.feedback_log().tasks(who.tenant)
    if asked is not None:
        known = [names.checked_task(asked, "/query/task")]
    page = [task for task in known if task > after or asked is not None][:MOST_TASKS]
    limit = asyncio.Semaphore(AT_ONCE)
    look = asked is not None
    told = await asyncio.gather(*(_told(who.tenant, task, limit, look=look) for task in page))
    more = page[-1] if asked is None and page and known[-1] != page[-1] else None
    return JSONResponse({"tasks": told, "after": more}, headers=apps.PRIVATE)


async def _told(tenant: str, task: str, limit: asyncio.Semaphore, *, look: bool) -> dict[str, Any]:
    async with limit:
        waiting = await bootstrap.feedback_log().waiting(tenant, task)
        try:
            found = await bootstrap.model_store().pointer(tenant, task)
        except UnavailableError as error:
            return {"task": task, "degraded": str(error)}
        degraded = await _degraded(tenant, task, look=look)
    return _public(task, found.pointer if found else Pointer(), waiting, degraded)


async def _degraded(tenant: str, task: str, *, look: bool) -> str:
    """Return why answers may be older than they should be: as the next one will tell, or the last one here told.

    To load the models of a hundred tasks would take minutes.
    """
    if look:
        return await bootstrap.learners().degraded(tenant, task)
    if bootstrap.is_made("learners"):
        return bootstrap.learners().last_degraded(tenant, task)
    return ""


def _public(task: str, pointer: Pointer, waiting: int, degraded: str) -> dict[str, Any]:
    """Return what is told of a task: `feedback` is what its model knows, `waiting` is in no segment yet."""
    return {
        "task": task,
        "degraded": degraded or None,
        "version": pointer.version,
        "sequence": pointer.sequence,
        "feedback": pointer.position,
        "waiting": waiting,
        "versions": [asdict(one) for one in pointer.versions],
        "evaluations": [_evaluation(one) for one in pointer.evaluations],
    }


def _evaluation(evaluated: Evaluation) -> dict[str, Any]:
    """Return how a candidate did; the evaluations, oldest first, are the learning curve."""
    many = max(evaluated.events, 1)
    return {
        "version": evaluated.version,
        "at_ms": evaluated.at_ms,
        "events": evaluated.events,
        "accuracy": round(evaluated.right / many, 4),
        "accuracy_of_current": round(evaluated.current_right / many, 4),
        "calibration_error": evaluated.ece_ppm / 1e6,
        "coverage_at_95": round(evaluated.answered / many, 4),
        "verdict": "published" if evaluated.published else "refused",
    }


async def roll_back(request: Request, who: Principal) -> Response:
    """Have an earlier model answer from now on."""
    from core.learning import changes  # noqa: PLC0415 -- it loads numpy, which giving feedback does without

    task = names.task_of(request)
    asked = await models.read(request, BODY_BYTES, VersionBody, "the body names no version")
    store, log = bootstrap.model_store(), bootstrap.feedback_log()
    pointer = await changes.roll_back(store, log, who.tenant, task, asked.version)
    waiting = await log.waiting(who.tenant, task)
    degraded = await _degraded(who.tenant, task, look=True)
    return JSONResponse(_public(task, pointer, waiting, degraded), headers=apps.PRIVATE)


async def forget(request: Request, who: Principal) -> Response:
    """Forget what a subject has said of a task, or without one, all that is known of it; `*` is all tasks.

    What fails halfway can be sent again. Raises NothingThereError for a task of which nothing was ever said.
    """
    from core.learning import changes  # noqa: PLC0415 -- as above

    apps.refuse_unknown_parameters(request, "task", "subject")
    asked = request.query_params.get("task")
    if asked is None:
        raise InvalidInputError("a parameter is wrong", {"/query/task": NO_TASK})
    subject = request.query_params.get("subject")
    if subject is not None and not identity.SUBJECT.fullmatch(subject):
        raise InvalidInputError("a parameter is wrong", {"/query/subject": identity.SUBJECT_RULE})
    store, log = bootstrap.model_store(), bootstrap.feedback_log()
    found = await _to_forget(store, log, who.tenant, asked)
    for start in range(0, len(found), AT_ONCE):
        some = found[start : start + AT_ONCE]
        if subject is None:
            gone = (changes.forget_task(store, log, who.tenant, task) for task in some)
        else:
            gone = (log.forget(who.tenant, task, subject) for task in some)
        await asyncio.gather(*gone)
    if subject is None:
        return Response(status_code=204)
    return JSONResponse({"task": asked, "subject": subject, "until": "the next retraining"}, 202)


async def _to_forget(store: "ModelStore", log: FeedbackLog, tenant: str, asked: str) -> list[str]:
    """Return the tasks that are asked for. One that Redis has lost may have a pointer yet."""
    known = await log.tasks(tenant)
    if asked == EVERY:
        return known
    task = names.checked_task(asked, "/query/task")
    if task not in known and (await store.untrusted_pointer(tenant, task))[0] is None:
        raise NothingThereError(f"nothing was ever said of a task {task}")
    return [task]

"""Trials over HTTP: a cheaper model tried at a task, what came of it, and which model does a task."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap, time_of_day
from core.complaints import choice
from core.costs.model_choices import MOST_SHARE, Override, Trial
from core.costs.report import Query, read_query
from core.costs.savings.recommendation import Kind, Target, read_id
from core.costs.trials import ERROR, MARGIN, MOST_OUTCOMES, Comparison, Evidence, Signal
from core.crews.begin_trial import LATELY_DAYS, NOT_HERE, TrialStarter
from core.errors import ConflictError, InvalidInputError, NotFoundError, NothingThereError
from core.identity import Principal
from functions._http import apps, models

if TYPE_CHECKING:  # what reads crews loads slowly, and few need it
    from core.crews.definition import Task

BODY_BYTES = 4 * 1024
OFFLINE = "the offline model does all tasks of this deployment (CREWLINE_MODEL), so no other can be chosen"
UNCHECKED = (
    "nothing checks the answers to this task, so only what people say of them (human_input, thumbs of POST /v1/feedback) can show"
    " that they are as good; with an output_schema or guardrails in its crew the answers themselves can"
)
CHANGED = (
    "the deployment (CREWLINE_MODEL) has {other} in place of {model} since, so the cheaper model was compared with one"
    " that is in use no more; what was found holds for these two. Look in GET /v1/costs/savings, and try anew"
)
NO_SAVING = "this is no id of a recommendation; GET /v1/costs/savings tells them"
MODEL = re.compile(r"^[!-~]{1,200}$")


class TrialBody(BaseModel):
    """The body of POST /v1/costs/savings/{id}/trial."""

    model_config = ConfigDict(extra="forbid", strict=True)

    share: Annotated[float, Field(ge=0.01, le=MOST_SHARE)]
    margin: Annotated[float, Field(ge=0.005, le=0.5)] = MARGIN
    most_calls: Annotated[int, Field(ge=20, le=100_000)] = MOST_OUTCOMES


class ModelBody(BaseModel):
    """The body of PUT /v1/costs/models/{crew}/{task}."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(pattern=MODEL.pattern)]


async def trial_list(_: Request, who: Principal) -> Response:
    """Answer with the trials that are kept, the latest first."""
    found = await bootstrap.trials().all(who.tenant)
    return JSONResponse({"trials": [_public(trial) for trial in found]}, headers=apps.PRIVATE)


async def trial_state(request: Request, who: Principal) -> Response:
    """Answer with one trial."""
    saving: str = request.path_params["saving"]
    for trial in await bootstrap.trials().all(who.tenant):
        if trial.id == saving:
            return JSONResponse(_public(trial), headers=apps.PRIVATE)
    raise NothingThereError("no such trial")


async def trial_start(request: Request, who: Principal) -> Response:
    """Begin a trial of the cheaper model that a right-sizing names; one that is over is begun anew."""
    apps.refuse_unknown_parameters(request, "from", "to")
    target = _target(request)
    if target.kind is not Kind.RIGHT_SIZING:
        raise ConflictError("only a right-sizing can be tried")
    _require_online()
    asked = await models.read(request, BODY_BYTES, TrialBody, "the body is no trial")
    task = _task(target.crew, target.task)
    if not MODEL.fullmatch(target.to):
        raise InvalidInputError("no trial of this", {"/saving": "names no cheaper model"})
    trial, period = _trial(target, asked, task), _period(request)
    begun = await _starter().begin(who.tenant, trial, task.required_quality, period)
    return JSONResponse(_public(begun), 201, apps.PRIVATE)


async def trial_stop(request: Request, who: Principal) -> Response:
    """Stop a trial; answer with it. One that is over stays as it is."""
    try:
        stopped = await bootstrap.trials().stop(who.tenant, request.path_params["saving"])
    except NotFoundError:
        raise NothingThereError("no such trial") from None
    return JSONResponse(_public(stopped), headers=apps.PRIVATE)


async def model_list(_: Request, who: Principal) -> Response:
    """Answer with the models that the tenant chose for tasks, and where trials run."""
    found = await bootstrap.trials().overrides(who.tenant)
    return JSONResponse({"models": [_override(each) for each in found]}, headers=apps.PRIVATE)


async def model_put(request: Request, who: Principal) -> Response:
    """Choose the model that does a task in flows that are launched from now on."""
    crew, task = request.path_params["crew"], request.path_params["task"]
    _task(crew, task)
    _require_online()
    asked = await models.read(request, BODY_BYTES, ModelBody, "the body names no model")
    if not bootstrap.may_choose(asked.model):
        raise InvalidInputError("the body names no model", {"/model": NOT_HERE})
    model = bootstrap.spelled(asked.model)
    await bootstrap.trials().choose(who.tenant, crew, task, model)
    return JSONResponse(_override(Override(crew, task, model)), headers=apps.PRIVATE)


async def model_delete(request: Request, who: Principal) -> Response:
    """Have a task done by the deployment's model again."""
    crew, task = request.path_params["crew"], request.path_params["task"]
    await bootstrap.trials().choose(who.tenant, crew, task, None)
    return Response(status_code=204)


def _require_online() -> None:
    """Raise ConflictError where a model that is chosen would do nothing."""
    if bootstrap.is_offline():
        raise ConflictError(OFFLINE)


def _starter() -> TrialStarter:
    return TrialStarter(
        bootstrap.trials(),
        bootstrap.spending_log(),
        bootstrap.agreed_prices(),
        bootstrap.prices(),
        bootstrap.deployed_models(),
    )


def _target(request: Request) -> Target:
    """Return the recommendation that the path names. Raises NothingThereError."""
    try:
        return read_id(request.path_params["saving"])
    except NotFoundError:
        raise NothingThereError(NO_SAVING) from None


def _period(request: Request) -> Query:
    """Return the days of the report that recommends it; without `from` and `to` the latest."""
    today = datetime.fromtimestamp(time_of_day.now_ms() / 1000, UTC).date()
    if request.query_params:
        return read_query(request.query_params, today)
    return Query(today - timedelta(days=LATELY_DAYS - 1), today)


def _task(crew: str, task: str) -> "Task":
    """Return a task of a crew. Raises NothingThereError."""
    crews = bootstrap.registry()
    try:
        tasks = crews.get(crew).tasks
    except NotFoundError:
        reason = f"this deployment runs no such crew; {choice(crew, crews.names())}"
        raise NothingThereError(reason) from None
    if task not in tasks:
        raise NothingThereError(f"the crew has no such task; {choice(task, tasks)}")
    return tasks[task]


def _trial(target: Target, asked: TrialBody, task: "Task") -> Trial:
    judge = Signal.ANSWERS if task.is_checked else Signal.PEOPLE
    return Trial(
        id=target.id,
        run=secrets.token_hex(8),
        crew=target.crew,
        task=target.task,
        model=target.model,
        cheaper=bootstrap.spelled(target.to),
        share=asked.share,
        evidence=Evidence(asked.margin, asked.most_calls, judged_by=judge),
    )


def _override(override: Override) -> dict[str, Any]:
    return {
        "crew": override.crew,
        "task": override.task,
        "model": override.model,
        "trial": override.trial,
    }


def _public(trial: Trial) -> dict[str, Any]:
    seen = trial.evidence
    return {
        "id": trial.id,
        "crew": trial.crew,
        "task": trial.task,
        "model": trial.model,
        "cheaper": trial.cheaper,
        "share": trial.share,
        "margin": seen.margin,
        "most_calls": seen.most,
        "judged_by": seen.judged_by,
        "hint": _hint(trial),
        "state": _state(trial),
        "verdict": trial.verdict,
        "started_ms": trial.started_ms,
        "ended_ms": trial.ended_ms,
        "evidence": {
            "answers": _comparison(seen.answers),
            "people": _comparison(seen.people),
            "of_worse": round(seen.of_worse, 3),
            "of_as_good": round(seen.of_as_good, 3),
            "needed": round(1 / ERROR),
        },
    }


def _hint(trial: Trial) -> str | None:
    if trial.changed_to is not None:
        return CHANGED.format(model=trial.model, other=trial.changed_to)
    return UNCHECKED if trial.evidence.judged_by is Signal.PEOPLE else None


def _state(trial: Trial) -> str:
    if trial.ended_ms is None:
        return "running"
    return "stopped" if trial.verdict is None else "ended"


def _comparison(seen: Comparison) -> dict[str, Any]:
    arms = {"in_use": seen.in_use, "cheaper": seen.cheaper}
    sums = {arm: {"outcomes": each.outcomes, "mean": each.mean} for arm, each in arms.items()}
    return {**sums, "difference": seen.difference}

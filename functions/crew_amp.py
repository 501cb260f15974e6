"""/amp/{crew}: CrewAI AMP's HTTP API, so that what was written for it runs here.

GET inputs, POST kickoff, GET status/{kickoff_id}, POST resume. A kickoff is a flow: all of /v1 works
on its `flow_id`, of which `kickoff_id` is the UUID; /amp takes both. docs/amp.md says what is as in
AMP and what is not.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterable
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response, StreamingResponse

from core import bootstrap, json_text
from core.crews import control, launch
from core.crews.step_ids import is_review_of, review_number
from core.errors import ConflictError, InvalidInputError, NotFoundError
from core.flows import Flow
from core.identity import CREWS_READ, FLOWS_APPROVE, FLOWS_READ, FLOWS_WRITE, Principal
from core.webhooks.outbox import WebhookKind
from core.webhooks.receivers import Receivers
from functions._amp import answers
from functions._amp.requests import Kickoff, Resume, kickoff_request, pointer, resume_request
from functions._amp.words import flow_id, kickoff_id
from functions._http import apps, auth, idempotency, polling, problems, typed_apps

READ = ["GET", "HEAD"]
CHANGED = "must be as it was before, or left out"
NO_WEBHOOKS = "cannot be added: the kickoff named no webhook"

router = APIRouter(prefix="/amp/{crew}")


@router.api_route("/inputs", methods=READ)
async def amp_inputs(
    crew: str, _: Annotated[Principal, Depends(auth.scope(CREWS_READ))]
) -> Response:
    """Answer with the names of a crew's inputs."""
    return JSONResponse(answers.inputs(bootstrap.registry().get(crew)))


@router.post("/kickoff")
async def amp_kickoff(
    crew: str,
    who: Annotated[Principal, Depends(auth.scope(FLOWS_WRITE))],
    asked: Annotated[Kickoff, Depends(kickoff_request)],
    idempotency_key: Annotated[str | None, Depends(idempotency.key)],
) -> Response:
    """Launch a crew. A request sent again under its key gets the same answer."""

    def check() -> None:
        bootstrap.registry().get(crew)  # an unknown one is a path that leads nowhere
        _check_targets(who.tenant, asked.urls())

    request = launch.LaunchRequest(crew, asked.inputs, asked.kept())
    flow, _new = await bootstrap.launcher().launch(
        who.tenant, request, idempotency_key, who.subject, check
    )
    return JSONResponse({"kickoff_id": kickoff_id(flow), "flow_id": flow})


def _check_targets(tenant: str, urls: dict[WebhookKind, str]) -> None:
    if urls:
        targets = bootstrap.webhook_targets()
        targets.check(tenant, {pointer(kind): url for kind, url in urls.items()})


@router.api_route("/status/{kickoff}", methods=READ)
@router.api_route("/{kickoff}/status", methods=READ)  # as older AMP documents have it
async def amp_status(
    crew: str,
    kickoff: str,
    who: Annotated[Principal, Depends(auth.scope(FLOWS_READ))],
    result: Annotated[str, Query(pattern="^(text|object)$")] = "text",
) -> Response:
    """Answer with how far a kickoff is, or what it came to."""
    flow = apps.possible_id(flow_id(kickoff))
    state = _of_crew(await bootstrap.flow_log().snapshot(who.tenant, flow), crew)
    state = await bootstrap.values().whole(who.tenant, state)
    answer = answers.status(state, documented=result == "object")
    return _in_pieces(answer, apps.PRIVATE | polling.retry_after_header(state.head))


def _in_pieces(answer: answers.Answer, headers: dict[str, str]) -> Response:
    """Return an answer which may be as large as all results of a flow together.

    Others are answered between two pieces. One of a single piece is sent as it is.
    """
    pieces = json_text.pieces(answer)
    first, second = next(pieces), next(pieces, None)
    if second is None:
        return Response(first, headers=headers, media_type="application/json")
    body = _one_by_one(itertools.chain((first, second), pieces))
    return StreamingResponse(body, headers=headers, media_type="application/json")


async def _one_by_one(pieces: Iterable[bytes]) -> AsyncGenerator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


def _of_crew(state: Flow, crew: str) -> Flow:
    if state.crew != crew:
        raise NotFoundError("no such flow of this crew")
    return state


@router.post("/resume")
async def amp_resume(
    crew: str,
    who: Annotated[Principal, Depends(auth.scope(FLOWS_APPROVE))],
    said: Annotated[Resume, Depends(resume_request)],
    idempotency_key: Annotated[str | None, Depends(idempotency.key)],
) -> Response:
    """Answer a task that waits for a person.

    Sent again with its Idempotency-Key or its `review`, it changes nothing; without either it is an
    answer to whatever question about the task is open then.
    """
    flow = apps.possible_id(flow_id(said.execution_id))
    if not said.is_approve and not said.human_feedback.strip():
        reason = "say what should be different, or approve"
        raise InvalidInputError("an answer that says nothing", {"/human_feedback": reason})
    state = _of_crew(await bootstrap.ledger().state(who.tenant, flow, fresh=True), crew)
    request = None if idempotency_key is None else control.request_of_key(idempotency_key)
    review = _review(state, said, request)
    added = _added_urls(state, said, review)
    if review not in state.results:  # or this answer was taken before, or will be refused
        _check_targets(who.tenant, added)
    await bootstrap.flow_control().resume(
        tenant=who.tenant,
        flow=flow,
        approve=said.is_approve,
        feedback=said.human_feedback,
        review=review,
        webhooks={kind.value: url for kind, url in added.items()},
        request=request,
        subject=who.subject,
    )
    if said.is_approve:
        return JSONResponse({"status": "resumed", "message": "the execution goes on"})
    return JSONResponse({"status": "retrying", "message": "the task is done again"})


def _added_urls(state: Flow, said: Resume, review: str) -> dict[WebhookKind, str]:
    """Return the addresses that this answer adds to those that are in use.

    AMP wants all of them again with each answer; here they stay, and may be repeated. Raises
    InvalidInputError if one is another than before, or if nothing is ever sent of this flow.
    """
    before = {name: result for name, result in state.results.items() if name != review}
    known = Receivers.of(state.webhooks, before).urls
    wrong = {
        pointer(kind): CHANGED if known else NO_WEBHOOKS
        for kind, url in said.urls().items()
        if not known or known.get(kind, url) != url
    }
    if wrong:
        raise InvalidInputError("a webhook does not fit the kickoff", wrong)
    return {kind: url for kind, url in said.urls().items() if kind not in known}


def _review(state: Flow, said: Resume, request: str | None) -> str:
    """Return the question that is answered: the one named, or the one this request answered before.

    Raises InvalidInputError if it is none about the task, ConflictError as `_likely_review`, or if
    another answer came with this request's Idempotency-Key.
    """
    before = None if request is None else control.review_answered_by(state, request)
    review = said.review or before or _likely_review(state, said.task_id)
    if before not in (None, review) or (before and not is_review_of(before, said.task_id)):
        raise ConflictError("this Idempotency-Key came with another answer: take a new one")
    if not is_review_of(review, said.task_id):
        raise InvalidInputError("an answer to nothing", {"/review": "is no review of this task"})
    return review


def _likely_review(state: Flow, task: str) -> str:
    """Return the question about the task that is open, or else the one that was answered last.

    Answering that again as it was is a request that was sent twice. Raises ConflictError.
    """
    if state.question is not None and state.question["task"] == task:
        return state.question["review"]
    answered = [name for name in state.results if is_review_of(name, task)]
    if not answered:
        raise ConflictError("the execution does not wait for an answer on this task")
    return max(answered, key=review_number)


app = typed_apps.fastapi("crew_amp", router)
app.user_middleware.insert(
    next(i for i, part in enumerate(app.user_middleware) if part.cls is problems.Problems),
    Middleware(answers.AmpErrors),
)
handler = apps.on_lambda(app)

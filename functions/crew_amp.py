"""/amp/{crew}: CrewAI AMP's HTTP API, so that what was written for it runs here unchanged.

GET inputs, POST kickoff, GET status/{kickoff_id}, POST resume. A kickoff is a flow, and its id that
of the flow: all of /v1 works on it too. docs/amp.md says what is as in AMP and what is not.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap
from core.crews import control, launch
from core.errors import ConflictError, InvalidInputError, NotFoundError
from core.flows import Flow, events
from core.identity import CREWS_READ, FLOWS_READ, FLOWS_WRITE, Principal
from core.webhooks.outbox import META_KEY, WebhookKind
from functions import _amp, _app, _auth, _models, _polling, _problem

REQUEST_BYTES = 256 * 1024
FEEDBACK_CHARACTERS = 20_000
READ = ["GET", "HEAD"]
CHANGED = "must be as it was at the kickoff, or left out"

router = APIRouter(prefix="/amp/{crew}")


class Hooks(BaseModel):
    """Who is to be told of a kickoff, as both requests name them."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    task_webhook_url: str | None = None
    step_webhook_url: str | None = None
    crew_webhook_url: str | None = None

    def urls(self) -> dict[WebhookKind, str]:
        """Return the addresses that are given."""
        named = {
            WebhookKind.TASK: self.task_webhook_url,
            WebhookKind.STEP: self.step_webhook_url,
            WebhookKind.CREW: self.crew_webhook_url,
        }
        return {kind: url for kind, url in named.items() if url}


class Kickoff(Hooks):
    """The body of POST kickoff."""

    inputs: dict[str, Any]
    meta: dict[str, Any] | None = None


class Resume(Hooks):
    """The body of POST resume, whose own words are in snake case."""

    execution_id: Annotated[str, Field(alias="execution_id")]
    task_id: Annotated[str, Field(alias="task_id")]
    human_feedback: Annotated[str, Field(alias="human_feedback", max_length=FEEDBACK_CHARACTERS)]
    is_approve: Annotated[bool, Field(alias="is_approve")]


async def kickoff_request(request: Request) -> Kickoff:
    """Read what is to be launched. Raises InvalidInputError, or HTTPException as `read_json`."""
    return await _models.read(request, REQUEST_BYTES, Kickoff, "the body is not a kickoff")


async def resume_request(request: Request) -> Resume:
    """Read what a person says. Raises likewise."""
    return await _models.read(request, REQUEST_BYTES, Resume, "the body is not an answer")


@router.api_route("/inputs", methods=READ)
async def amp_inputs(
    crew: str, _: Annotated[Principal, Depends(_auth.scope(CREWS_READ))]
) -> Response:
    """Answer with the names of a crew's inputs."""
    return JSONResponse(_amp.inputs(bootstrap.registry().get(crew)))


@router.post("/kickoff")
async def amp_kickoff(
    crew: str,
    who: Annotated[Principal, Depends(_auth.scope(FLOWS_WRITE))],
    asked: Annotated[Kickoff, Depends(kickoff_request)],
    idempotency_key: Annotated[str | None, Header(pattern=r"^[ -~]{1,255}$")] = None,
) -> Response:
    """Launch a crew. A request sent again under its key gets the same answer."""
    registry = bootstrap.registry()
    registry.get(crew)  # an unknown one is a path that leads nowhere
    flow, _new = await bootstrap.launcher().launch(
        who.tenant,
        launch.LaunchRequest(crew, asked.inputs, _webhooks(who.tenant, asked)),
        idempotency_key,
    )
    return JSONResponse({"kickoff_id": flow})


def _webhooks(tenant: str, asked: Kickoff) -> dict[str, Any]:
    """Return what the flow keeps of who is to be told. Raises InvalidInputError."""
    urls = asked.urls()
    if urls:
        targets = bootstrap.webhook_targets()
        targets.check(tenant, {_pointer(kind): url for kind, url in urls.items()})
    kept: dict[str, Any] = {kind.value: url for kind, url in urls.items()}
    return kept | {META_KEY: asked.meta} if kept and asked.meta is not None else kept


def _pointer(kind: WebhookKind) -> str:
    return f"/{kind}WebhookUrl"


@router.api_route("/status/{flow}", methods=READ)
async def amp_status(
    crew: str, flow: str, who: Annotated[Principal, Depends(_auth.scope(FLOWS_READ))]
) -> Response:
    """Answer with how far a kickoff is, or what it came to."""
    state = _of_crew(await bootstrap.flow_log().snapshot(who.tenant, _app.possible_id(flow)), crew)
    headers = {"cache-control": "private, no-cache", "vary": "Authorization"}
    body = events.encode(_amp.status(state))
    return Response(
        body, 200, headers | _polling.retry_after_header(state.head), "application/json"
    )


def _of_crew(state: Flow, crew: str) -> Flow:
    if state.crew != crew:
        raise NotFoundError("no such flow of this crew")
    return state


@router.post("/resume")
async def amp_resume(
    crew: str,
    who: Annotated[Principal, Depends(_auth.scope(FLOWS_WRITE))],
    said: Annotated[Resume, Depends(resume_request)],
) -> Response:
    """Answer a task that waits for a person. Sent again, the same answer changes nothing."""
    flow = _app.possible_id(said.execution_id)
    if not said.is_approve and not said.human_feedback.strip():
        reason = "say what should be different, or approve"
        raise InvalidInputError("an answer that says nothing", {"/human_feedback": reason})
    state = _of_crew(await bootstrap.ledger().state(who.tenant, flow), crew)
    _check_unchanged(state.webhooks, said)
    await control.resume(
        bootstrap.ledger(),
        bootstrap.wake_queue(),
        tenant=who.tenant,
        flow=flow,
        approve=said.is_approve,
        feedback=said.human_feedback,
        review=_review(state, said.task_id),
    )
    if said.is_approve:
        return JSONResponse({"status": "resumed", "message": "the execution goes on"})
    return JSONResponse({"status": "retrying", "message": "the task is done again"})


def _check_unchanged(webhooks: Mapping[str, Any], said: Resume) -> None:
    """AMP wants the addresses again with an answer; here they are the kickoff's, for good."""
    wrong = {
        _pointer(kind): CHANGED for kind, url in said.urls().items() if webhooks.get(kind) != url
    }
    if wrong:
        raise InvalidInputError("a webhook is set at the kickoff", wrong)


def _review(state: Flow, task: str) -> str:
    """Return the question about the task that is open, or else the one that was answered last.

    Answering that again as it was is a request that was sent twice. Raises ConflictError.
    """
    if state.waiting is not None and state.waiting["task"] == task:
        return state.waiting["review"]
    answered = [name for name in state.results if name.startswith(f"{task}.review.")]
    if not answered:
        raise ConflictError("the execution does not wait for an answer on this task")
    return max(answered, key=lambda name: int(name.rpartition(".")[2]))


app = _app.fastapi(router)
app.user_middleware.insert(
    next(i for i, part in enumerate(app.user_middleware) if part.cls is _problem.Problems),
    Middleware(_amp.AmpErrors),
)
handler = _app.on_lambda(app)

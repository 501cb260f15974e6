"""GET /v1/crews, POST /v1/flows and /v1/inputs -- what can run, making it run, and on what.

POST /v1/flows/{id}/cancel, /v1/flows/{id}/resume -- ending it before its time, and answering it
where it waits for a person. DELETE /v1/flows/{id} and /v1/inputs/{id} -- leaving nothing of them.

Requests name crews and inputs and carry neither code nor paths. Bodies are read by
`bodies.read_json`, never by FastAPI, which answers 500 to some of what people send.
"""

import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap
from core.blobs import INPUT_ID, in_thread, put_in_turn
from core.crews import launch
from core.crews.control import FEEDBACK_CHARACTERS
from core.errors import InvalidInputError, NotFoundError
from core.flows import Status
from core.identity import CREWS_READ, FLOWS_APPROVE, FLOWS_WRITE, INPUTS_WRITE, Principal
from functions._http import apps, auth, bodies, edge, models
from functions._http.idempotency import IdempotencyKey

REQUEST_BYTES = 256 * 1024
INLINE_BYTES = 4 * 1024**2  # base64 of it still fits into a Lambda event
UPLOAD_BYTES = 512 * 1024**2
UPLOAD_SECONDS = 900
UPLOAD_COMMAND = "curl --data-binary @FILE -H 'content-type: application/octet-stream'"
FORM = "application/x-www-form-urlencoded"  # what curl -d sends, without the file's line ends
OPAQUE = "application/octet-stream"  # an input is data for a crew, whatever it says it is

router = APIRouter()


class Answer(BaseModel):
    """The body of POST /v1/flows/{id}/resume; `review` is the one that the flow's state names."""

    model_config = ConfigDict(extra="forbid", strict=True)

    approve: bool
    feedback: Annotated[str, Field(max_length=FEEDBACK_CHARACTERS)] = ""
    review: Annotated[str | None, Field(max_length=256)] = None


class FlowRequest(BaseModel):
    """The body of POST /v1/flows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    crew: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    inputs: dict[str, Any] = {}


async def flow_request(request: Request) -> launch.LaunchRequest:
    """Read what is to be launched. Raises InvalidInputError, or HTTPException as `read_json`."""
    asked = await models.read(request, REQUEST_BYTES, FlowRequest, "the body is not a launch")
    return launch.LaunchRequest(asked.crew, asked.inputs)


async def answer(request: Request) -> Answer:
    """Read what a person says. Raises as `flow_request`."""
    return await models.read(request, REQUEST_BYTES, Answer, "the body is not an answer")


@router.api_route("/v1/crews", methods=["GET", "HEAD"])
async def crew_list(_: Annotated[Principal, Depends(auth.scope(CREWS_READ))]) -> Response:
    """Answer with the crews and the JSON Schemas of their inputs, and with what is broken."""
    crews, broken = bootstrap.registry().read_all()
    shown = [crew.model_dump(include={"name", "description", "inputs"}) for crew in crews]
    wrong = [{"name": e.crew, "file": e.file, "line": e.line, "error": e.error} for e in broken]
    return JSONResponse({"crews": shown, **({"broken": wrong} if wrong else {})})


@router.post("/v1/flows")
async def flow_launch(
    request: Request,
    who: Annotated[Principal, Depends(auth.scope(FLOWS_WRITE))],
    asked: Annotated[launch.LaunchRequest, Depends(flow_request)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Launch a crew. A request sent again under its key gets the same answer."""
    flow, _ = await bootstrap.launcher().launch(who.tenant, asked, idempotency_key, who.subject)
    path = edge.link(request, f"/v1/flows/{flow}")
    links = {"self": path, "events": f"{path}/events"}
    body = {"id": flow, "status": Status.QUEUED, "links": links}
    return JSONResponse(body, 202, {"location": path})


@router.post("/v1/flows/{flow}/cancel")
async def flow_cancel(
    flow: str, who: Annotated[Principal, Depends(auth.scope(FLOWS_WRITE))]
) -> Response:
    """End a flow; answer with its state. A request sent again gets the same answer."""
    possible = apps.possible_id(flow)
    state = await bootstrap.flow_control().cancel(
        tenant=who.tenant, flow=possible, subject=who.subject
    )
    return JSONResponse(state.public())


@router.delete("/v1/flows/{flow}")
async def flow_delete(
    flow: str, who: Annotated[Principal, Depends(auth.scope(FLOWS_WRITE))]
) -> Response:
    """Remove a flow that has ended; its inputs stay. Sent again it is not found."""
    possible, blobs = apps.possible_id(flow), bootstrap.blobs()
    await bootstrap.flow_control().delete(blobs, tenant=who.tenant, flow=possible)
    return Response(status_code=204)


@router.post("/v1/flows/{flow}/resume")
async def flow_resume(
    flow: str,
    who: Annotated[Principal, Depends(auth.scope(FLOWS_APPROVE))],
    said: Annotated[Answer, Depends(answer)],
) -> Response:
    """Answer a flow that waits; answer with its state. Sent again with `review` it is the same."""
    state = await bootstrap.flow_control().resume(
        tenant=who.tenant,
        flow=apps.possible_id(flow),
        approve=said.approve,
        feedback=said.feedback,
        review=said.review,
        subject=who.subject,
    )
    return JSONResponse(state.public())


@router.post("/v1/inputs")
async def input_create(
    request: Request,
    who: Annotated[Principal, Depends(auth.scope(INPUTS_WRITE))],
    size: Annotated[int | None, Query(ge=1, le=UPLOAD_BYTES)] = None,
) -> Response:
    """Store the body as an input; or, for `size` bytes to come, say where they may be put."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("multipart/") or kind == FORM:
        raise HTTPException(415, f"a form is no file; send the bytes of the file: {UPLOAD_COMMAND}")
    data = await bodies.read_bytes(request, INLINE_BYTES, "; send ?size=N for a URL to PUT more to")
    if bool(data) == (size is not None):
        raise InvalidInputError("send the bytes of the input, or else only their `size`")
    blob, blobs = f"in_{secrets.token_hex(16)}", bootstrap.blobs()
    if size is None:
        await put_in_turn(blobs, who.tenant, blob, data, OPAQUE)
        return JSONResponse({"id": blob, "bytes": len(data)}, 201)
    url = await in_thread(blobs.upload_url, who.tenant, blob, size, UPLOAD_SECONDS)
    upload = {"url": url, "method": "PUT", "expires_seconds": UPLOAD_SECONDS}
    return JSONResponse({"id": blob, "upload": upload}, 201)


@router.delete("/v1/inputs/{blob}")
async def input_delete(
    blob: str, who: Annotated[Principal, Depends(auth.scope(INPUTS_WRITE))]
) -> Response:
    """Remove an input, whether or not a flow has yet to read it. Sent again it is not found."""
    if not INPUT_ID.fullmatch(blob):
        raise NotFoundError("no such input")
    blobs = bootstrap.blobs()
    await in_thread(blobs.size, who.tenant, blob)
    await in_thread(blobs.delete, who.tenant, blob)
    return Response(status_code=204)


app = apps.fastapi(router)
handler = apps.on_lambda(app)

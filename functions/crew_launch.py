"""GET /v1/crews, POST /v1/flows and /v1/inputs -- what can run, making it run, and on what.

POST /v1/flows/{id}/cancel, /v1/flows/{id}/resume -- ending it before its time, and answering it
where it waits for a person. DELETE /v1/flows/{id} and /v1/inputs/{id} -- leaving nothing of them.

Requests name crews and inputs and carry neither code nor paths. Bodies are read by
`bodies.read_json`. FastAPI is not here: it would take as long to load as all the rest.
"""

import secrets
from dataclasses import asdict
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap
from core.blobs import INPUT_ID, in_thread, put_in_turn
from core.crews import launch
from core.crews.control import FEEDBACK_CHARACTERS
from core.crews.definition.registry import Registry
from core.errors import InvalidInputError, NotFoundError
from core.flows import Status
from core.identity import CREWS_READ, FLOWS_APPROVE, FLOWS_WRITE, INPUTS_WRITE, Principal
from core.json_text import compact_bytes
from functions._http import apps, auth, bodies, edge, idempotency, models

REQUEST_BYTES = 256 * 1024
INLINE_BYTES = 4 * 1024**2  # base64 of it still fits into a Lambda event
UPLOAD_BYTES = 512 * 1024**2
UPLOAD_SECONDS = 900
UPLOAD_COMMAND = "curl --data-binary @FILE -H 'content-type: application/octet-stream'"
FORM = "application/x-www-form-urlencoded"  # what curl -d sends, without the file's line ends
OPAQUE = "application/octet-stream"  # an input is data for a crew, whatever it says it is


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


async def crew_list(_request: Request, _who: Principal) -> Response:
    """Answer with the crews and the JSON Schemas of their inputs, and with what is broken."""
    return Response(_crews(bootstrap.registry()), media_type="application/json")


@lru_cache(1)  # a deployment's crews are the same as long as its process lives, whoever asks
def _crews(registry: Registry) -> bytes:
    crews, broken = registry.read_all()
    shown = [crew.model_dump(include={"name", "description", "inputs"}) for crew in crews]
    wrong = [{"name": each.crew, **asdict(what)} for each in broken for what in each.problems]
    return compact_bytes({"crews": shown, **({"broken": wrong} if wrong else {})})


async def flow_launch(request: Request, who: Principal) -> Response:
    """Launch a crew. A request sent again under its key gets the same answer."""
    key, asked = idempotency.key(request), await flow_request(request)
    flow, _ = await bootstrap.launcher().launch(who.tenant, asked, key, who.subject)
    path = edge.link(request, f"/v1/flows/{flow}")
    links = {"self": path, "events": f"{path}/events"}
    body = {"id": flow, "status": Status.QUEUED, "links": links}
    return JSONResponse(body, 202, {"location": path})


async def flow_cancel(request: Request, who: Principal) -> Response:
    """End a flow; answer with its state. A request sent again gets the same answer."""
    flow = apps.flow_id(request)
    state = await bootstrap.flow_control().cancel(tenant=who.tenant, flow=flow, subject=who.subject)
    return JSONResponse(state.public())


async def flow_delete(request: Request, who: Principal) -> Response:
    """Remove a flow that has ended; its inputs stay. Sent again it is not found."""
    flow, blobs = apps.flow_id(request), bootstrap.blobs()
    await bootstrap.flow_control().delete(blobs, tenant=who.tenant, flow=flow)
    return Response(status_code=204)


async def flow_resume(request: Request, who: Principal) -> Response:
    """Answer a flow that waits; answer with its state. Sent again with `review` it is the same."""
    said = await answer(request)
    state = await bootstrap.flow_control().resume(
        tenant=who.tenant,
        flow=apps.flow_id(request),
        approve=said.approve,
        feedback=said.feedback,
        review=said.review,
        subject=who.subject,
    )
    return JSONResponse(state.public())


async def input_create(request: Request, who: Principal) -> Response:
    """Store the body as an input; or, for `size` bytes to come, say where they may be put."""
    size = apps.whole_number(request, "size", 1, UPLOAD_BYTES)
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


async def input_delete(request: Request, who: Principal) -> Response:
    """Remove an input, whether or not a flow has yet to read it. Sent again it is not found."""
    blob: str = request.path_params["blob"]
    if not INPUT_ID.fullmatch(blob):
        raise NotFoundError("no such input")
    blobs = bootstrap.blobs()
    await in_thread(blobs.size, who.tenant, blob)
    await in_thread(blobs.delete, who.tenant, blob)
    return Response(status_code=204)


_writes = auth.scope(FLOWS_WRITE)
routes = [
    auth.GuardedRoute("/v1/crews", crew_list, auth.scope(CREWS_READ)),
    auth.GuardedRoute("/v1/flows", flow_launch, _writes, "POST"),
    auth.GuardedRoute("/v1/flows/{flow}/cancel", flow_cancel, _writes, "POST"),
    auth.GuardedRoute("/v1/flows/{flow}", flow_delete, _writes, "DELETE"),
    auth.GuardedRoute("/v1/flows/{flow}/resume", flow_resume, auth.scope(FLOWS_APPROVE), "POST"),
    auth.GuardedRoute("/v1/inputs", input_create, auth.scope(INPUTS_WRITE), "POST"),
    auth.GuardedRoute("/v1/inputs/{blob}", input_delete, auth.scope(INPUTS_WRITE), "DELETE"),
]
app = apps.starlette("crew_launch", routes)
handler = apps.on_lambda(app)

"""AG-UI's RunAgentInput: what a client sends to begin a run, to repeat it, or to answer one.

Source: https://docs.ag-ui.com/sdk/js/core/types. Tools, context and all else that is not read
here are ignored: a crew has its own.
"""

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.requests import Request

from core.crews.definition import Definition
from core.errors import InvalidInputError
from functions._http import apps, models

REQUEST_BYTES = 1024**2  # a client sends the whole conversation each time
MOST_MESSAGES = 2_000  # of it: to check one takes 10 us, in which no other request is answered


class _Received(BaseModel):
    """An object of the protocol; a later version may have more in it."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, frozen=True, strict=True)


class Message(_Received):
    """One message of the conversation; it is sent back with all that it came with.

    `content` is a text, a list of parts, or nothing.
    """

    model_config = ConfigDict(extra="allow")

    id: str
    role: str
    content: Any = None


class ResumeEntry(_Received):
    """A person's answer to an interrupt, or the word that there will be none."""

    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class RunInput(_Received):
    """What of RunAgentInput matters to a crew. A run here leaves one interrupt open at most."""

    thread_id: Annotated[str, Field(min_length=1, max_length=256)]
    run_id: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[models.List[Message], Field(max_length=MOST_MESSAGES)] = []
    state: Any = None
    forwarded_props: Any = None
    resume: Annotated[list[ResumeEntry] | None, Field(max_length=1)] = None

    @property
    def ids(self) -> dict[str, str]:
        """The client's names of thread and run, as events carry them."""
        return {"threadId": self.thread_id, "runId": self.run_id}

    @property
    def dismisses(self) -> bool:
        """Whether the client wants to be rid of an interrupt, without an answer to it."""
        return bool(self.resume) and self.resume[0].status == "cancelled"

    def shared_state(self, flow: dict[str, Any]) -> dict[str, Any]:
        """Return the client's state with the flow under a key of its own, `flow`."""
        state = self.state
        own = cast("dict[str, Any]", state) if isinstance(state, dict) else {}
        return {**own, "flow": flow}

    def sent_messages(self) -> list[dict[str, Any]]:
        """Return the messages as they were sent."""
        return [m.model_dump(by_alias=True, exclude_unset=True) for m in self.messages]


async def read(request: Request) -> RunInput:
    """Read what is to be run. Raises InvalidInputError, or HTTPException as `read_json`."""
    if apps.buffers(request.scope):
        raise HTTPException(501, "this host does not stream: POST /v1/flows and poll the flow")
    return await models.read(
        request, REQUEST_BYTES, RunInput, "the body is not AG-UI's RunAgentInput"
    )


def crew_inputs(run: RunInput, crew: Definition) -> dict[str, Any]:
    """Return what the crew is to work on. Raises InvalidInputError that says where to put it.

    It is, in this order: `forwardedProps.inputs`, an object; `state.inputs`, likewise; the text of
    the last user message, for a crew that requires one input only, a string.
    """
    for pointer, given in (("/forwardedProps", run.forwarded_props), ("/state", run.state)):
        if isinstance(given, dict) and "inputs" in given:
            return _object(f"{pointer}/inputs", cast("dict[str, Any]", given)["inputs"])
    required: list[str] = crew.inputs.get("required", [])
    text = _last_user_text(run.messages)
    if text and len(required) == 1 and _is_text(crew, required[0]):
        return {required[0]: text}
    if not required:
        return {}
    reason = f"must be an object with: {', '.join(required)}"
    raise InvalidInputError(
        f"the run does not say what {crew.name} works on", {"/forwardedProps/inputs": reason}
    )


def _object(pointer: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInputError("the inputs are wrong", {pointer: "must be an object"})
    return cast("dict[str, Any]", value)


def _is_text(crew: Definition, name: str) -> bool:
    schema = crew.inputs.get("properties", {}).get(name)
    return isinstance(schema, dict) and cast("dict[str, Any]", schema).get("type") == "string"


def _last_user_text(messages: list[Message]) -> str:
    """Return the text of the last user message; "" if there is none."""
    content = next((m.content for m in reversed(messages) if m.role == "user"), "")
    if isinstance(content, str):
        return content
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    texts = [cast("dict[str, Any]", part).get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))

"""The bodies that /amp takes, as CrewAI AMP's document and its guides have them."""

import base64
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from core.crews.control import FEEDBACK_CHARACTERS
from core.webhooks.outbox import WebhookKind
from core.webhooks.receivers import AUTHORIZATION_KEY, META_KEY
from functions._http import models

REQUEST_BYTES = 256 * 1024
# What goes into a header: printable ASCII, so that nothing ends the line.
Token = Annotated[str, Field(pattern=r"^[!-~]{1,2000}\z")]
User = Annotated[str, Field(pattern=r"^[^:\x00-\x1f\x7f]{1,500}\z")]
Password = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,500}\z")]


def _instead(hint: str) -> BeforeValidator:
    """Refuse a member of AMP's that has no meaning here, with what to do instead."""

    def refuse(value: Any) -> None:
        if value is not None:
            raise PydanticCustomError("unsupported", "{hint}", {"hint": hint})

    return BeforeValidator(refuse)


class Hooks(BaseModel):
    """Where webhooks of a kickoff go, as both requests name them."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, strict=True)

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


class Bearer(BaseModel):
    """A token that the receiver asks for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    strategy: Literal["bearer"]
    token: Token

    def header(self) -> str:
        """Return the value of `Authorization`."""
        return f"Bearer {self.token}"


class Basic(BaseModel):
    """A user and a password that the receiver asks for (RFC 7617)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    strategy: Literal["basic"]
    username: User
    password: Password

    def header(self) -> str:
        """Return the value of `Authorization`."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class HumanInputWebhook(BaseModel):
    """Who is to be told that the flow waits for a person."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str
    authentication: Annotated[Bearer | Basic, Field(discriminator="strategy")] | None = None


class Kickoff(Hooks):
    """The body of POST kickoff."""

    inputs: dict[str, Any]
    meta: dict[str, Any] | None = None
    human_input_webhook: HumanInputWebhook | None = None
    webhooks: Annotated[
        None, _instead("not here: name taskWebhookUrl, stepWebhookUrl, crewWebhookUrl, or GET /v1/flows/ID/events")
    ] = None  # fmt: skip
    restore_from_state_id: Annotated[
        None, _instead("not here: a kickoff begins anew; POST resume goes on with one that waits")
    ] = None

    def urls(self) -> dict[WebhookKind, str]:
        """Return the addresses that are given."""
        asked = self.human_input_webhook
        return super().urls() | ({} if asked is None else {WebhookKind.HUMAN_INPUT: asked.url})

    def kept(self) -> dict[str, Any]:
        """Return what the flow keeps of its webhooks (`core.webhooks.receivers`)."""
        kept: dict[str, Any] = {kind.value: url for kind, url in self.urls().items()}
        asked = self.human_input_webhook
        if asked is not None and asked.authentication is not None:
            kept[AUTHORIZATION_KEY] = {WebhookKind.HUMAN_INPUT.value: asked.authentication.header()}
        return kept | {META_KEY: self.meta} if kept and self.meta is not None else kept


class Resume(Hooks):
    """The body of POST resume, whose own words are in snake case."""

    execution_id: Annotated[str, Field(alias="execution_id")]
    task_id: Annotated[str, Field(alias="task_id")]
    human_feedback: Annotated[str, Field(alias="human_feedback", max_length=FEEDBACK_CHARACTERS)]
    is_approve: Annotated[bool, Field(alias="is_approve")]
    review: Annotated[str | None, Field(max_length=256)] = None  # beyond AMP's: the question


def pointer(kind: WebhookKind) -> str:
    """Return where in a request the URL of this kind stands."""
    return "/humanInputWebhook/url" if kind is WebhookKind.HUMAN_INPUT else f"/{kind}WebhookUrl"


async def kickoff_request(request: Request) -> Kickoff:
    """Read what is to be launched. Raises InvalidInputError, or HTTPException as `read_json`."""
    return await models.read(request, REQUEST_BYTES, Kickoff, "the body is not a kickoff")


async def resume_request(request: Request) -> Resume:
    """Read what a person says. Raises likewise."""
    return await models.read(request, REQUEST_BYTES, Resume, "the body is not an answer")

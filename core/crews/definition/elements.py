"""The elements of a crew: agents, tasks, limits, and how a consensus is found."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints
from pydantic.fields import FieldInfo

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Persona = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
Process = Literal["sequential", "hierarchical", "consensus"]
GUARDRAIL_NAME = re.compile(r"[a-z][a-z0-9_]*")  # any other guardrail is a sentence
TASK_SECONDS = 15 * 60.0  # of one try, unless the task says otherwise
FLOW_SECONDS = 24 * 3600  # of a flow, unless the crew says otherwise
ROLE_CHARACTERS = 200  # of a role as a name in states and events
REVIEWED_FLOW_SECONDS = 30 * 24 * 3600  # the same where a person is asked, who may take weeks

_EMPTY: Mapping[Any, Any] = {str: "", list: [], dict: {}}


class Strict(BaseModel):
    """Refuses what it does not know, takes no text for a number or a decision, and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """Return what an older or newer version of this code has checked and stored.

        Fields that are unknown here are passed over. One that is missing, or null where that has no
        meaning, gets its default, or is empty where there is none. No other value is checked.
        """
        known = {
            name: _stored_value(field, stored.get(name)) for name, field in cls.model_fields.items()
        }
        return cls.model_construct(**known)


def _stored_value(field: FieldInfo, value: Any) -> Any:
    kind: Any = field.annotation
    inner = get_args(kind)
    if value is None and type(None) not in inner:
        if field.is_required():
            return _EMPTY.get(get_origin(kind) or kind)
        return field.get_default(call_default_factory=True, validated_data={})
    if not isinstance(value, Mapping):
        return value
    fields = cast("Mapping[str, Any]", value)
    if get_origin(kind) is dict and _is_element(inner[1]):
        return {name: inner[1].from_stored(each) for name, each in fields.items()}
    element: Any = next((each for each in (kind, *inner) if _is_element(each)), None)
    return fields if element is None else element.from_stored(fields)


def _is_element(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Strict)


class Agent(Strict):
    """Who works: CrewAI's role, goal and backstory, and the tools it may use.

    An agent makes at most `max_iter` model calls for one answer, and `max_rpm` in a minute.
    """

    role: Persona
    goal: Persona
    backstory: Persona
    tools: list[Text] = []
    max_iter: Annotated[int, Field(ge=1, le=50)] = 20
    max_rpm: Annotated[int, Field(ge=1)] | None = None
    _role_text: str = PrivateAttr("")

    @property
    def role_text(self) -> str:
        """Return the role as the model reads it; `role` of a crew that is filled is a name in a line."""
        return self._role_text or self.role

    def filled(self, fill: Callable[[str], str]) -> Self:
        """Return the agent with its texts as `fill` makes them."""
        role, goal, backstory = map(fill, (self.role, self.goal, self.backstory))
        name = " ".join(role.split())[:ROLE_CHARACTERS]
        agent = self.model_copy(update={"role": name, "goal": goal, "backstory": backstory})
        agent._role_text = role  # noqa: SLF001 -- its own
        return agent


class Task(Strict):
    """What is to be done. Without `context` a task is told the output of all earlier ones.

    With an `output_schema` (JSON Schema) the answer must be JSON that fits it. Every one of
    `guardrails` must let the answer pass: a name on the deployment's list, or a sentence that a
    model checks. `max_execution_time` is in seconds and of one try.
    """

    description: Text
    expected_output: Text
    agent: Text | None = None
    context: list[Text] | None = None
    tools: list[Text] | None = None
    output_schema: dict[str, Any] | None = None
    retries: Annotated[int, Field(ge=0, le=5)] = 0  # of a step that failed; each is paid for
    async_execution: bool = False  # runs beside the tasks after it
    guardrails: list[Text] = []
    max_execution_time: Annotated[float, Field(gt=0, le=86_400)] = TASK_SECONDS
    human_input: bool = False  # a person approves the answer, or says what to change
    required_quality: Literal["low", "high", "critical"] = "high"  # critical: no trial of models

    @property
    def is_checked(self) -> bool:
        """Tell whether anything but a person may refuse an answer."""
        return self.output_schema is not None or bool(self.guardrails)


class Limits(Strict):
    """How far a flow may go before it is given up, and how much a manager may ask for.

    `time_limit_seconds` is from the launch to the end, waiting for people included.
    """

    max_attempts: Annotated[int, Field(ge=1, le=20)] = (
        5  # starts of one step, kills included, since it came further last
    )
    time_limit_seconds: Annotated[int, Field(ge=1, le=2_592_000)] | None = None  # of a flow
    max_subtasks: Annotated[int, Field(ge=1, le=20)] = 6
    max_rejections: Annotated[int, Field(ge=0, le=5)] = 1  # rounds in which work is sent back


class Consensus(Strict):
    """How agents come to one answer: all propose, then all vote, or the judge alone decides.

    A winner with `threshold` of the votes ends it, otherwise the agents propose anew, at most
    `max_rounds` times in all. Votes that are tied then go to the agent named first, or with
    `tie: judge` to the judge, who decides nothing else.
    """

    agents: Annotated[list[Text], Field(min_length=2, max_length=10)]
    judge: Text | None = None
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.66
    max_rounds: Annotated[int, Field(ge=1, le=5)] = 2
    tie: Literal["first", "judge"] = "first"

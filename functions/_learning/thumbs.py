"""Thumbs: what somebody says of a flow's result becomes feedback on the decisions that the flow made.

What a crew decides its decider knows (`core.crews.lessons`): of `import_mapping` each column is a decision,
which field it feeds; of `research_brief` the form of its text, as a whole. A thumb is feedback in the very
memory and context in which agents are told lessons. One up for a whole mapping is that for each column, but
for those that other columns make needless. Of a crew that decides nothing, and of a whole mapping that was
bad, it is one decision of the task `CREW-results`: whether people like what comes of such inputs.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from core import bootstrap
from core.crews.definition import Definition
from core.crews.lessons import Made
from core.crews.trials import record_feedback
from core.errors import InvalidInputError, NothingThereError, UnavailableError
from core.flows import Flow, Status
from core.identity import Principal
from core.learning.feedback import Feedback

if TYPE_CHECKING:
    from functions._learning.feedback import ThumbBody

WHOLE = ""  # what a decision is about whose action is the whole output
LACKING = (
    "this host lacks the packages that tell what the crew decided: those of the group deciders"
)
COMPLAINT = "the thumb is refused"
Given = tuple[str, Feedback]  # with its task


async def feedback(who: Principal, asked: "ThumbBody", now_ms: int) -> list[Given]:
    """Return what a thumb says. Raises NotFoundError, NothingThereError, InvalidInputError."""
    state = await bootstrap.flow_log().snapshot(who.tenant, asked.flow)
    if state.head.status is not Status.SUCCEEDED:
        raise NothingThereError(f"the flow is {state.head.status} and has no result to speak of")
    if asked.correction is not None and asked.thumb == "up":
        raise InvalidInputError(COMPLAINT, {"/correction": "is for a thumb down"})
    given = await _of_flow(who, asked, state)
    dated = [(task, replace(one, at_ms=now_ms)) for task, one in given]
    for _, one in dated:
        one.check()
    if asked.column is None:  # of the whole result, which the trials of its tasks count
        good = asked.thumb == "up"
        await record_feedback(bootstrap.trials(), who.tenant, state, good=good)
    return dated


async def _of_flow(who: Principal, asked: "ThumbBody", state: Flow) -> list[Given]:
    made = await _decisions(who.tenant, state)
    about = asked.column or WHOLE
    if about in made:
        return [_of_decision(who, asked, made[about], asked.id)]
    if asked.column is not None:
        raise InvalidInputError(COMPLAINT, {"/column": "the flow has not decided about it"})
    if not made or asked.thumb == "down":
        return [_of_result(who, asked, state)]
    own = [one for one in made.values() if one.teaches]
    ids = [asked.id and f"{asked.id}:{number}" for number in range(len(own))]
    pairs = zip(own, ids, strict=True)
    return [_of_decision(who, asked, one, given_id) for one, given_id in pairs]


async def _decisions(tenant: str, state: Flow) -> Mapping[str, Made]:
    """Return what a flow has decided, by what it is about."""
    values = bootstrap.values()
    whole = await values.whole(tenant, state)
    output = await values.load(tenant, state.output)
    crew = Definition.from_stored(state.definition)
    try:
        made = await bootstrap.lessons().made(whole, crew, output)
    except ImportError as error:
        raise UnavailableError(LACKING) from error
    return {one.about: one for one in made}


def _of_decision(who: Principal, asked: "ThumbBody", made: Made, given_id: str | None) -> Given:
    if asked.correction is not None and asked.correction not in made.candidates:
        raise InvalidInputError(COMPLAINT, {"/correction": "is none of the fields there are"})
    right = asked.thumb == "up" or asked.correction is not None
    action = asked.correction or made.action
    others = [one for one in made.candidates if one != action]
    if not right and len(others) == 1:  # of two, the other one is right
        action, right = others[0], True
    return made.task, Feedback(given_id or _new_id(), made.context, action, who.subject, right)


def _of_result(who: Principal, asked: "ThumbBody", state: Flow) -> Given:
    if asked.correction is not None:
        raise InvalidInputError(COMPLAINT, {"/correction": "is for a decision: name its column"})
    context = {"inputs": state.inputs}
    given = Feedback(asked.id or _new_id(), context, asked.thumb, who.subject)
    return f"{state.crew}-results", given


def _new_id() -> str:
    return uuid.uuid4().hex

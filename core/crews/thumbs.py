"""Thumbs: what somebody says of a flow's result becomes feedback on the decisions that the flow made.

What a crew decides its decider knows (`core.crews.lessons`): of `import_mapping` each column is a decision,
which field it feeds; of `research_brief` the form of its text, as a whole. A thumb is feedback in the very
memory and context in which agents are told lessons. One up for a whole mapping is that for each column, but
for those that other columns make needless. Of a crew that decides nothing, and of a whole mapping that was
bad, it is one decision of the task `CREW-results`: whether people like what comes of such inputs.

Reading a thumb writes nothing, so of a request with several all are read before any counts (`keep`).
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.crews.trials import Trials, record_feedback
from core.errors import InvalidInputError, NotFoundError, NothingThereError, UnavailableError
from core.flows import Flow, FlowLog, Status
from core.flows.values import LargeValues
from core.learning.feedback import Fate, Feedback, FeedbackLog

if TYPE_CHECKING:  # most feedback is of no flow
    from core.crews.lessons import Lessons, Made

WHOLE = ""  # what a decision is about whose action is the whole output
FLOWS_AT_ONCE = 8
LACKING = (
    "this host lacks the packages that tell what the crew decided: those of the group deciders"
)
COMPLAINT = "the thumb is refused"
Given = tuple[str, Feedback]  # with its task


@dataclass(frozen=True, slots=True)
class Thumb:
    """What a subject says of a flow's result, or of one column of it. `id` is its sender's."""

    flow: str
    good: bool
    subject: str
    id: str | None = None
    column: str | None = None
    correction: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a person finds a flow's result good, as a whole: what the trials of its tasks count."""

    flow: Flow
    good: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be kept of one thing that was said."""

    given: Sequence[Given]
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class ThumbReader:
    """Reads thumbs; it looks at their flows."""

    flows: FlowLog
    values: LargeValues
    lessons: "Lessons"

    async def read(self, tenant: str, thumb: Thumb, now_ms: int) -> Said:
        """Return what a thumb says. Raises NotFoundError, NothingThereError, InvalidInputError."""
        state = await self.flows.snapshot(tenant, thumb.flow)
        if state.head.status is not Status.SUCCEEDED:
            reason = f"the flow is {state.head.status} and has no result to speak of"
            raise NothingThereError(reason)
        if thumb.correction is not None and thumb.good:
            raise InvalidInputError(COMPLAINT, {"/correction": "is for a thumb down"})
        given = _feedback(thumb, state, await self._decisions(tenant, state))
        dated = [(task, replace(one, at_ms=now_ms)) for task, one in given]
        for _, one in dated:
            one.check()
        return Said(dated, Verdict(state, thumb.good) if thumb.column is None else None)

    async def _decisions(self, tenant: str, state: Flow) -> "Mapping[str, Made]":
        """Return what a flow has decided, by what it is about."""
        from core.crews.definition import Definition  # noqa: PLC0415 -- most feedback is of no flow

        whole = await self.values.whole(tenant, state)
        output = await self.values.load(tenant, state.output)
        crew = Definition.from_stored(state.definition)
        try:
            made = await self.lessons.made(whole, crew, output)
        except ImportError as error:
            raise UnavailableError(LACKING) from error
        return {one.about: one for one in made}


async def keep(log: FeedbackLog, trials: Trials, tenant: str, said: Sequence[Said]) -> list[Fate]:
    """Keep all that was said, or nothing of it; return what became of each feedback, in their order.

    Raises ConflictError where there is no room for it, UnavailableError. Trials hear of it last: in them
    a person's first word counts, and what is refused is no word.
    """
    fates = await log.add_all(tenant, [pair for each in said for pair in each.given])
    first: dict[str, Verdict] = {}
    for verdict in (each.verdict for each in said if each.verdict):
        first.setdefault(verdict.flow.id, verdict)
    limit = asyncio.Semaphore(FLOWS_AT_ONCE)
    await asyncio.gather(*(_record(trials, tenant, each, limit) for each in first.values()))
    return fates


async def _record(trials: Trials, tenant: str, verdict: Verdict, limit: asyncio.Semaphore) -> None:
    async with limit:
        with suppress(NotFoundError):  # deleted since it was read, and with it what it is for
            await record_feedback(trials, tenant, verdict.flow, good=verdict.good)


def _feedback(thumb: Thumb, state: Flow, made: "Mapping[str, Made]") -> list[Given]:
    about = thumb.column or WHOLE
    if about in made:
        return [_of_decision(thumb, made[about], thumb.id)]
    if thumb.column is not None:
        raise InvalidInputError(COMPLAINT, {"/column": "the flow has not decided about it"})
    if not made or not thumb.good:
        return [_of_result(thumb, state)]
    own = [one for one in made.values() if one.teaches]
    ids = [thumb.id and f"{thumb.id}:{number}" for number in range(len(own))]
    return [_of_decision(thumb, one, given_id) for one, given_id in zip(own, ids, strict=True)]


def _of_decision(thumb: Thumb, made: "Made", given_id: str | None) -> Given:
    if thumb.correction is not None and thumb.correction not in made.candidates:
        raise InvalidInputError(COMPLAINT, {"/correction": "is none of the fields there are"})
    right = thumb.good or thumb.correction is not None
    action = thumb.correction or made.action
    others = [one for one in made.candidates if one != action]
    if not right and len(others) == 1:  # of two, the other one is right
        action, right = others[0], True
    return made.task, Feedback(given_id or _new_id(), made.context, action, thumb.subject, right)


def _of_result(thumb: Thumb, state: Flow) -> Given:
    if thumb.correction is not None:
        raise InvalidInputError(COMPLAINT, {"/correction": "is for a decision: name its column"})
    action = "up" if thumb.good else "down"
    given = Feedback(thumb.id or _new_id(), {"inputs": state.inputs}, action, thumb.subject)
    return f"{state.crew}-results", given


def _new_id() -> str:
    return uuid.uuid4().hex

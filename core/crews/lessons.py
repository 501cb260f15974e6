"""Lessons: what was learnt of earlier decisions, told to an agent before it makes the next ones.

A crew that `decides` names a module of the deployment's list, which knows what its steps decide
(`Decider`). Before a step the learners are asked about each decision. What somebody has said of exactly
this decision is told whatever else was learnt, so a correction holds until somebody says otherwise;
of the rest, what is more likely right than wrong, by id and with its confidence, if it is not an
agent's own word. Before a flow succeeds, what it decided is learnt as an agent's word, the weakest
there is: a person's word on it weighs more.

That happens before the flow ends and not after it: a flow that has not ended is due, so whoever dies
in between leaves it to the next worker, who learns the same again under the same ids.

A crew that decides nothing costs no command and no time.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from core.crews.crew_runner import Lesson, StepTask
from core.errors import ConflictError, CrewlineError, UnavailableError
from core.flows import Flow
from core.json_text import compact, compact_bytes
from core.learning.advice import Advice, Question
from core.learning.context import digest
from core.learning.feedback import Feedback
from core.learning.patterns import Kind

if TYPE_CHECKING:  # what reads crews loads slowly, and few need it; learners load numpy
    from core.crews.definition import Definition
    from core.learning.serving import Learners

log = logging.getLogger(__name__)

LIKELY = 0.5  # of a lesson: from here on it is more often right than wrong
MOST_LESSONS = 100  # told to one step


class Decision(Protocol):
    """One thing that a step decides.

    `about` names it in the step's output; "" is the whole output. `context` is what is known, `usual` the
    same without what is its own: an answer to that is no lesson (None: it is one). `expected` is what is
    decided without lessons, where that is known: one that says the same is told last. `teaches` tells whether what an agent
    decided says anything of other flows.
    """

    @property
    def about(self) -> str: ...
    @property
    def context(self) -> Mapping[str, Any]: ...
    @property
    def usual(self) -> Mapping[str, Any] | None: ...
    @property
    def expected(self) -> str | None: ...
    @property
    def candidates(self) -> tuple[str, ...]: ...
    @property
    def teaches(self) -> bool: ...


class Decider(Protocol):
    """What a crew decides, in plain functions: a module of the crew can be one."""

    def memory(self, inputs: Mapping[str, Any]) -> str:
        """Return the name of the memory, a task of the learners, that flows with these inputs share."""
        ...

    def decisions(self, text: str, inputs: Mapping[str, Any], task: str) -> Sequence[Decision]:
        """Return what a step of a task decides that is told this text, if anything.

        Or what a whole flow has decided, whose agents said this text; `task` is "" then.
        """
        ...

    def lesson(
        self, decision: Any, action: str, sure: float, usual: float | None, name: str
    ) -> str:
        """Return a lesson in words: its action, how sure that is, and how sure in its usual context.

        `usual` is None where somebody has said this action of exactly this decision.
        """
        ...

    def decided(self, output: Any) -> Mapping[str, str]:
        """Return the actions that a crew's output shows, by what they are about."""
        ...


@dataclass(frozen=True, slots=True)
class Made:
    """A decision that a flow made: `action`, in the memory `task`."""

    task: str
    about: str
    context: Mapping[str, Any]
    candidates: tuple[str, ...]
    action: str
    teaches: bool


class Lessons:
    """What a deployment's crews learn. Without deciders, nothing."""

    def __init__(
        self, learners: "Learners | None" = None, deciders: Mapping[str, Decider] | None = None
    ) -> None:
        self._learners, self._deciders = learners, deciders or {}

    async def before(self, work: StepTask) -> tuple[Lesson, ...]:
        """Return what this step should be told, the surest first. Raises UnavailableError."""
        decider = self._decider(work.definition)
        if decider is None or self._learners is None:
            return ()
        text = "\n\n".join([work.prompt.description, *(item.text for item in work.prompt.context)])
        decisions = await _decisions(decider, text, work.inputs, work.prompt.task)
        if not decisions:
            return ()
        task = decider.memory(work.inputs)
        return await lessons_of(self._learners, work.tenant, decider, task, decisions)

    async def learn_outcome(self, tenant: str, flow: Flow, crew: "Definition", output: Any) -> None:
        """Learn what a flow has decided that is about to succeed; the same again changes nothing.

        Raises UnavailableError. What else goes wrong is logged: it would again, and the flow is done.
        """
        if self._decider(crew) is None or self._learners is None:
            return
        try:
            made = await self.made(flow, crew, output)
            given = [_outcome(flow, crew.name, each) for each in made if each.teaches]
            if given:
                await self._learners.learn(tenant, made[0].task, given)
        except UnavailableError:
            raise
        except ConflictError as error:  # there is no room for it: nothing to be mended here
            log.warning("what the flow decided is not learnt", extra={"why": str(error)})
        except (CrewlineError, ValueError, KeyError, TypeError, AttributeError):
            log.exception("what the flow decided is not learnt")

    async def made(self, flow: Flow, crew: "Definition", output: Any) -> list[Made]:
        """Return what a flow has decided, from its results and its output."""
        decider = self._decider(crew)
        if decider is None:
            return []
        text = "\n\n".join(_texts(flow.results.values()))
        actions = decider.decided(_answer(crew, output))
        task, decisions = (
            decider.memory(flow.inputs),
            await _decisions(decider, text, flow.inputs, ""),
        )
        return [
            Made(
                task,
                each.about,
                each.context,
                each.candidates,
                actions[each.about],
                each.teaches,
            )
            for each in decisions
            if actions.get(each.about) in each.candidates
        ]

    def _decider(self, crew: "Definition") -> Decider | None:
        return self._deciders.get(crew.decides) if crew.decides else None


async def lessons_of(
    learners: "Learners", tenant: str, decider: Decider, task: str, decisions: Sequence[Decision]
) -> tuple[Lesson, ...]:
    """Return what was learnt of decisions that is likely, and more than what is usual; the surest first."""
    own = [Question(each.context, each.candidates) for each in decisions]
    usual = {
        compact(each.usual): Question(each.usual, each.candidates)
        for each in decisions
        if each.usual is not None
    }
    answers = await learners.advise(tenant, task, [*own, *usual.values()])
    without = dict(zip(usual, answers[len(own) :], strict=True))
    pairs = zip(decisions, answers[: len(own)], strict=True)
    found = (
        _likely(task, each, answer, without.get(compact(each.usual))) for each, answer in pairs
    )
    told = sorted((each for each in found if each), key=lambda each: each.rank)[:MOST_LESSONS]
    return tuple(each.lesson(decider) for each in told)


def _answer(crew: "Definition", output: Any) -> Any:
    """Return what a crew answers: of a consensus, without how it came to be."""
    if crew.process == "consensus" and isinstance(output, Mapping):
        return cast("Mapping[str, Any]", output).get("answer")
    return output


def _outcome(flow: Flow, crew: str, made: Made) -> Feedback:
    """Return a flow's own decision as feedback, which is forgotten with whoever launched the flow.

    Its id is that of what was decided for whom, so whoever learns it again changes nothing, and one
    subject's flows that decide the same fill no store. All of a crew's decisions have one source, the
    crew, so many subjects who let it decide the same are no more to a learner than one.
    """
    whose = flow.launched_by or ""
    decided = compact_bytes([crew, whose, digest(made.context).hex(), made.action])
    name = hashlib.blake2b(decided, digest_size=16).hexdigest()
    at_ms = flow.updated_ms
    return Feedback(
        name, made.context, made.action, crew, kind=Kind.AGENT, at_ms=at_ms, launched_by=whose
    )


async def _decisions(
    decider: Decider, text: str, inputs: Mapping[str, Any], task: str
) -> Sequence[Decision]:
    """Return the decisions of a text; that takes processor time, so beside the event loop."""
    return await asyncio.to_thread(decider.decisions, text, inputs, task)


@dataclass(frozen=True, slots=True)
class _Likely:
    """What was learnt of a decision; `usual` is how sure its action is without what is its own.

    None: somebody has said it of exactly this decision.
    """

    decision: Decision
    id: str
    action: str
    sure: float
    usual: float | None

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """What was said comes before what is likely; what changes a decision; then the surest."""
        return self.usual is not None, self.action == self.decision.expected, -self.sure

    def lesson(self, decider: Decider) -> Lesson:
        text = decider.lesson(self.decision, self.action, self.sure, self.usual, self.id)
        return Lesson(self.id, text, round(self.sure, 3))


def _likely(
    task: str, decision: Decision, answer: Advice, without: Advice | None
) -> _Likely | None:
    """Return the best action if somebody said it of this, or if it is likely, and likelier than usual.

    What speaks most for what is likely must be somebody else's word: told their own, agents would only
    believe it more each time.
    """
    if answer.said is not None:
        best = answer.actions[0]
        return _Likely(decision, f"{task}/{answer.said}", best.action, best.confidence, None)
    if answer.said_by in (None, Kind.AGENT):
        return None
    best = answer.actions[0]
    others = without.actions if without else ()
    usual = next((each.confidence for each in others if each.action == best.action), 0.0)
    if best.confidence < LIKELY or best.confidence <= usual:
        return None
    return _Likely(decision, f"{task}/{best.patterns[0]}", best.action, best.confidence, usual)


def _texts(results: Iterable[Any]) -> Iterable[str]:
    """Yield what models said in a flow; a person's answers are none of it."""
    for result in results:
        if not isinstance(result, Mapping):
            continue
        raw: Any = cast("Mapping[str, Any]", result).get("raw")
        if isinstance(raw, str):
            yield raw

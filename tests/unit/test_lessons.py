"""What agents are told of earlier decisions, and what is learnt of theirs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog, MemoryFlows
from core.adapters.memory.learners import memory_learners
from core.crews.clock import NoLimit
from core.crews.crew_runner import StepTask
from core.crews.definition import Definition
from core.crews.lessons import MOST_LESSONS, Lessons, lessons_of
from core.errors import InvalidInputError, UnavailableError
from core.flows import Status
from core.learning.advice import NOTHING_LEARNT, Question
from core.learning.feedback import Feedback
from core.learning.models.model_store import ModelStore
from core.learning.models.seals import SealKeys
from core.learning.patterns import Kind
from core.learning.serving import Learners
from tests.worker_parts import Scripted, a_crew, a_worker, launched, log_of

CANDIDATES = ("left", "right")


@dataclass(frozen=True)
class Turn:
    """Which way to go at a place that the prompt names."""

    about: str = ""
    candidates: tuple[str, ...] = CANDIDATES
    place: str = "the old bridge"
    teaches: bool = True
    expected: str | None = None

    @property
    def context(self) -> Mapping[str, Any]:
        return {"place": self.place}

    @property
    def usual(self) -> Mapping[str, Any]:
        return {"place": ""}


class Turns:
    """A decider: the first step and the third decide, and the output shows it."""

    def memory(self, inputs: Mapping[str, Any]) -> str:
        del inputs
        return "turns"

    def decisions(self, text: str, inputs: Mapping[str, Any], task: str) -> list[Turn]:
        del inputs, task
        return [] if text.startswith("rest") else [Turn()]

    def lesson(
        self, decision: Turn, action: str, sure: float, usual: float | None, name: str
    ) -> str:
        assert usual is None or sure > usual
        return f"{name}: at {decision.place} go {action}"

    def decided(self, output: Any) -> Mapping[str, str]:
        return {"": "left" if "three" in str(output) else "?"}


def turning_crew() -> Definition:
    crew = a_crew({"two": {"description": "rest"}})
    return crew.model_copy(update={"decides": "turns"})


def said(number: int, action: str = "right", place: str = "the old bridge") -> Feedback:
    return Feedback(f"f{number}", {"place": place}, action, "ann")


async def taught_learners() -> Learners:
    """One that was told often enough to be sure."""
    learners = memory_learners()
    bridges = [said(n, "right", f"the old bridge {n}") for n in range(30)]
    towers = [said(100 + n, "left", f"the new tower {n}") for n in range(30)]
    mixed = [each for pair in zip(bridges, towers, strict=True) for each in pair]
    await learners.learn("t", "turns", [*mixed, said(999)])
    return learners


async def run(learners: Any, crew: Definition | None = None) -> tuple[MemoryFlows, dict[str, Any]]:
    """Run a flow; return its store, and the lessons that each step was told."""
    told: dict[str, Any] = {}
    memory = MemoryFlows()

    def note(work: StepTask, _: Any) -> None:
        told[work.prompt.step] = work.lessons

    runner = Scripted(one=note, two=note, three=note)
    await launched(memory, crew or turning_crew())
    lessons = Lessons(learners, {"turns": Turns()})
    await a_worker(memory, runner, lessons).run_flow("t", "f", NoLimit())
    return memory, told


async def test_a_step_is_told_lessons_with_ids_and_its_event_shows_them():
    memory, told = await run(await taught_learners())
    assert [bool(told[step]) for step in ("one", "two", "three")] == [True, False, True]
    (lesson,) = told["one"]
    assert lesson.id.startswith("turns/")
    assert lesson.text == f"{lesson.id}: at the old bridge go right"
    assert 0.5 <= lesson.confidence <= 1
    shown = [event for event in await log_of(memory) if event.get("name") == "lessons"]
    told_one = {"id": lesson.id, "text": lesson.text, "confidence": lesson.confidence}
    assert shown[0]["value"] == {"step": "one", "lessons": [told_one]}
    assert [event["value"]["step"] for event in shown] == ["one", "three"]


async def test_an_agents_own_word_is_never_told_back_as_a_lesson():
    learners = memory_learners()
    places = [f"the old bridge {n}" for n in range(30)]
    words = [replace(said(n, "right", place), kind=Kind.AGENT) for n, place in enumerate(places)]
    await learners.learn("t", "turns", [*words, replace(said(99), kind=Kind.AGENT)])
    _, told = await run(learners)
    assert set(told.values()) == {()}
    (advice,) = await learners.advise("t", "turns", [Question(Turn().context, CANDIDATES)])
    assert advice.actions[0].confidence > 0.5
    await learners.learn(
        "t", "turns", [said(100), replace(said(101), kind=Kind.AGENT, subject="c")]
    )
    _, told = await run(learners)  # what an agent says after a person is the person's word
    assert told["one"]


async def test_one_word_on_this_very_decision_is_told_whatever_else_was_learnt():
    learners = memory_learners()
    await learners.learn("t", "turns", [said(99)])
    for number in range(4):  # each run decides and learns the other, which never outweighs it
        _, told = await run(learners)
        assert [lesson.text[-5:] for lesson in told["one"]] == ["right"], number


async def test_of_more_words_than_are_told_those_that_change_a_decision_are():
    places = [f"place {n}" for n in range(3 * MOST_LESSONS)]
    corrected = set(places[::50])
    words = [said(n, "left" if at in corrected else "right", at) for n, at in enumerate(places)]
    learners: Any = memory_learners()
    await learners.learn("t", "turns", words)
    turns = [Turn(place=at, expected="right") for at in places]
    told = await lessons_of(learners, "t", Turns(), "turns", turns)
    assert len(told) == MOST_LESSONS
    assert sum(lesson.text.endswith("left") for lesson in told) == len(corrected)


async def test_what_is_learnt_of_nobody_tells_nothing():
    memory, told = await run(memory_learners())
    assert set(told.values()) == {()}
    assert not [event for event in await log_of(memory) if event.get("name") == "lessons"]


async def test_what_a_flow_decided_is_learnt_as_the_weakest_word_before_it_succeeds():
    class Watching:
        async def advise(self, *asked: Any) -> list[Any]:
            return [NOTHING_LEARNT for _ in asked[2]]

        async def learn(self, *told: Any) -> None:
            kept.extend(told[2])
            statuses.append((await flows[0].head("t", "f")).status)

    statuses: list[Status] = []
    kept: list[Feedback] = []
    flows = [MemoryFlows()]
    await launched(flows[0], turning_crew())
    watching: Any = Watching()
    worker = a_worker(flows[0], Scripted(), Lessons(watching, {"turns": Turns()}))
    await worker.run_flow("t", "f", NoLimit())
    assert statuses == [Status.RUNNING]
    (feedback,) = kept
    assert (feedback.action, feedback.kind, feedback.subject) == ("left", "agent", "c")
    assert feedback.whose == "ann"  # who launched it, and with whom it is forgotten
    assert (await flows[0].head("t", "f")).status is Status.SUCCEEDED


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_worker_killed_as_it_learns_leaves_the_same_to_be_learnt_again(when: str):
    class Dying(Learners):
        async def learn(self, tenant: str, task: str, given: Any) -> None:
            ids.append([each.id for each in given])
            if when == "after" or len(ids) > 1:
                await super().learn(tenant, task, given)
            if len(ids) == 1:
                raise UnavailableError("the reply is lost, and so is the worker")

    ids: list[list[str]] = []
    memory = MemoryFlows()
    learners = Dying(ModelStore(MemoryBlobs, SealKeys({"k": "k" * 32})), MemoryFeedbackLog())
    await launched(memory, turning_crew())
    runner = Scripted()
    worker = a_worker(memory, runner, Lessons(learners, {"turns": Turns()}))
    with pytest.raises(UnavailableError):
        await worker.run_flow("t", "f", NoLimit())
    assert (await memory.head("t", "f")).status is Status.RUNNING
    await worker.run_flow("t", "f", NoLimit())
    assert (await memory.head("t", "f")).status is Status.SUCCEEDED
    assert ids[0] == ids[1]
    assert runner.began == ["one", "two", "three"]
    (answer,) = await learners.advise("t", "turns", [Question(Turn().context, CANDIDATES)])
    assert [each.patterns for each in answer.actions if each.patterns] == [(0,)]


@pytest.mark.parametrize(
    "error", [UnavailableError("away"), InvalidInputError("no"), KeyError("x")]
)
async def test_no_step_and_no_flow_fails_for_want_of_lessons(error: Exception):
    class Broken:
        async def advise(self, *_: Any) -> Any:
            raise error

        async def learn(self, *_: Any) -> None:
            raise InvalidInputError("refused")

    memory, told = await run(Broken())
    assert set(told.values()) == {()}
    assert (await memory.head("t", "f")).status is Status.SUCCEEDED


async def test_a_crew_that_decides_nothing_asks_and_teaches_nobody():
    class Never:
        async def advise(self, *_: Any) -> Any:
            raise AssertionError

        async def learn(self, *_: Any) -> None:
            raise AssertionError

    memory, told = await run(Never(), a_crew())
    assert set(told.values()) == {()}
    assert (await memory.head("t", "f")).status is Status.SUCCEEDED
    assert "lessons" not in json.dumps(await log_of(memory))

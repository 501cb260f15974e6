"""Tutors: in memory, and over the learners and the log of feedback that the API has."""

from collections.abc import Callable

import pytest

from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog
from core.adapters.memory.tutor import MemoryTutor
from core.errors import InvalidInputError
from core.learning.feedback import Feedback
from core.learning.models.model_store import ModelStore
from core.learning.models.seals import SealKeys
from core.learning.serving import Learners
from core.learning.serving_tutor import ServingTutor
from core.learning.tutor import Question, Tutor

QUESTION = Question({"column": "zip 5"}, ("postcode", "city"))


def serving() -> Tutor:
    log, blobs = MemoryFeedbackLog(), MemoryBlobs()
    store = ModelStore(lambda: blobs, SealKeys({"test": "k" * 32}))
    return ServingTutor(Learners(store, log), log)


@pytest.fixture(params=[MemoryTutor, serving])
def tutor(request: pytest.FixtureRequest) -> Tutor:
    make: Callable[[], Tutor] = request.param
    return make()


def said(name: str, action: str = "postcode", column: str = "zip 5") -> Feedback:
    return Feedback(name, {"column": column}, action, "ann")


async def best(tutor: Tutor, tenant: str = "t", task: str = "columns") -> str | None:
    (answer,) = await tutor.advise(tenant, task, [QUESTION])
    return answer.actions[0].action if answer.actions else None


async def test_what_was_learnt_is_in_the_next_answer_of_this_tenant_and_task_alone(tutor: Tutor):
    assert await best(tutor) is None
    await tutor.learn("t", "columns", [said("1"), said("2", "city", "town")])
    assert await best(tutor) == "postcode"
    assert await best(tutor, tenant="u") is None
    assert await best(tutor, task="rows") is None


async def test_questions_are_answered_in_their_order_with_all_their_candidates(tutor: Tutor):
    await tutor.learn("t", "columns", [said("1"), said("2", "city", "town")])
    asked = [QUESTION, Question({"column": "town"}, ("city", "postcode", "moon"))]
    answers = await tutor.advise("t", "columns", asked)
    assert [each.actions[0].action for each in answers] == ["postcode", "city"]
    assert {each.action for each in answers[1].actions} == {"city", "postcode", "moon"}


async def test_what_has_the_same_id_is_learnt_once(tutor: Tutor):
    await tutor.learn("t", "columns", [said("1", "city")])
    await tutor.learn("t", "columns", [said("1", "postcode")])
    assert await best(tutor) == "city"


async def test_feedback_that_cannot_be_kept_is_refused(tutor: Tutor):
    with pytest.raises(InvalidInputError):
        await tutor.learn("t", "columns", [said("1", "")])

"""Advice: what learners answer to questions of decisions, and that they are taught."""

import pytest

from core.adapters.memory.learners import memory_learners
from core.errors import InvalidInputError
from core.learning.advice import Question
from core.learning.feedback import Feedback
from core.learning.serving import Learners

QUESTION = Question({"column": "zip 5"}, ("postcode", "city"))


@pytest.fixture
def learners() -> Learners:
    return memory_learners()


def said(name: str, action: str = "postcode", column: str = "zip 5") -> Feedback:
    return Feedback(name, {"column": column}, action, "ann")


async def best(learners: Learners, tenant: str = "t", task: str = "columns") -> str | None:
    (answer,) = await learners.advise(tenant, task, [QUESTION])
    return answer.actions[0].action if answer.actions else None


async def test_what_was_learnt_is_in_the_next_answer_of_this_tenant_and_task_alone(
    learners: Learners,
):
    assert await best(learners) is None
    await learners.learn("t", "columns", [said("1"), said("2", "city", "town")])
    assert await best(learners) == "postcode"
    assert await best(learners, tenant="u") is None
    assert await best(learners, task="rows") is None


async def test_questions_are_answered_in_their_order_with_all_their_candidates(learners: Learners):
    await learners.learn("t", "columns", [said("1"), said("2", "city", "town")])
    asked = [QUESTION, Question({"column": "town"}, ("city", "postcode", "moon"))]
    answers = await learners.advise("t", "columns", asked)
    assert [each.actions[0].action for each in answers] == ["postcode", "city"]
    assert {each.action for each in answers[1].actions} == {"city", "postcode", "moon"}


async def test_what_has_the_same_id_is_learnt_once(learners: Learners):
    await learners.learn("t", "columns", [said("1", "city")])
    await learners.learn("t", "columns", [said("1", "postcode")])
    assert await best(learners) == "city"


async def test_feedback_that_cannot_be_kept_is_refused(learners: Learners):
    with pytest.raises(InvalidInputError):
        await learners.learn("t", "columns", [said("1", "")])

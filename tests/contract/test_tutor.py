"""What every Tutor does: in memory, and over the log of feedback, the models and the learners of a process."""

import pytest

from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog
from core.adapters.memory.tutor import MemoryTutor
from core.errors import InvalidInputError
from core.learning.feedback import Feedback
from core.learning.model_store import ModelStore
from core.learning.seals import SealKeys
from core.learning.serving import Learners
from core.learning.serving_tutor import ServingTutor
from core.learning.tutor import Question, Tutor

PLACES = Question({"place": "the old bridge"}, ("left", "right"))


@pytest.fixture(params=["memory", "serving"])
def tutor(request: pytest.FixtureRequest) -> Tutor:
    if request.param == "memory":
        return MemoryTutor()
    blobs, log = MemoryBlobs(), MemoryFeedbackLog()
    store = ModelStore(lambda: blobs, SealKeys({"k": "5e6f7a8b" * 8}))
    return ServingTutor(Learners(store, log), log)


def said(name: str, action: str, subject: str = "ann") -> Feedback:
    return Feedback(name, PLACES.context, action, subject)


async def test_what_nothing_was_learnt_of_has_no_answer(tutor: Tutor):
    (answer,) = await tutor.advise("t", "turns", [PLACES])
    assert (answer.actions, answer.abstain) == ((), True)


async def test_what_was_learnt_is_in_the_next_answers_of_its_tenant_and_task(tutor: Tutor):
    await tutor.learn("t", "turns", [said("a", "right")])
    first, second = await tutor.advise("t", "turns", [PLACES, PLACES])
    assert [one.action for one in first.actions] == ["right", "left"]
    assert second == first
    assert first.actions[0].patterns
    for tenant, task in (("u", "turns"), ("t", "other")):
        (answer,) = await tutor.advise(tenant, task, [PLACES])
        assert answer.actions == ()


async def test_what_has_the_same_id_is_learnt_once(tutor: Tutor):
    await tutor.learn("t", "turns", [said("a", "left"), said("b", "right")])
    await tutor.learn("t", "turns", [said("a", "left")])
    (answer,) = await tutor.advise("t", "turns", [PLACES])
    assert answer.actions[0].action == "right"  # ann's last word


async def test_what_cannot_be_kept_is_refused(tutor: Tutor):
    with pytest.raises(InvalidInputError):
        await tutor.learn("t", "turns", [said("a", "two\nlines")])

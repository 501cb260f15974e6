"""Forgetting what a subject has said: by Redis, segments and every model, wherever it is killed."""

import asyncio
import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import hypothesis
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from core.errors import ConflictError, UnavailableError
from core.learning import changes, feedback
from core.learning.feedback import Feedback
from core.learning.patterns import Kind
from core.learning.serving import Learners
from tests.contract.retraining_parts import (
    TASK,
    KilledError,
    Shop,
    given,
    shop,
)

__all__ = ["shop"]  # fixtures


async def test_what_a_subject_said_leaves_redis_segments_and_every_model(shop: Shop):
    await shop.say(given(40))
    await shop.say(given(20, seed=1, subject="bob-secret"))
    await shop.retrain()
    await shop.say(given(10, seed=2, subject="bob-secret"))
    await shop.say(given(10, seed=3))
    assert shop.objects(b"bob-secret")
    await shop.log.forget(shop.tenant, TASK, "bob-secret")
    assert await shop.retrain() == "forgotten"
    assert shop.objects(b"bob-secret") == []
    pointer = await shop.pointer()
    assert set(shop.objects()) == pointer.names() | {"pointer"}
    assert await shop.log.to_forget(shop.tenant, TASK) == {}
    served = await shop.served()
    assert (len(served.learner.kept()), served.degraded) == (50, "")
    assert "bob-secret" not in {one.source.name for one in served.learner.kept()}
    assert await shop.retrain() == "nothing new"
    await shop.say(given(10, seed=4))
    assert await shop.retrain() == "published"
    assert len((await shop.served()).learner.kept()) == 60


async def test_what_agents_decided_in_a_subjects_flows_leaves_segments_and_models_with_it(
    shop: Shop,
):
    def own(whose: str) -> list[Feedback]:
        flow = {"subject": "mapper", "kind": Kind.AGENT, "launched_by": whose}
        return [replace(one, id=f"{whose}{one.id}", **flow) for one in given(20)]

    await shop.say(own("bob-secret"))
    await shop.say(own("ana"))
    await shop.say(given(10, seed=1))
    await shop.retrain()
    assert shop.objects(b"bob-secret")
    await shop.log.forget(shop.tenant, TASK, "bob-secret")
    assert await shop.retrain() == "forgotten"
    assert shop.objects(b"bob-secret") == []
    assert len((await shop.served()).learner.kept()) == 30  # ana's flows decided the same


async def test_a_warm_reader_forgets_with_the_next_model(shop: Shop):
    learners = Learners(shop.store, shop.log)
    await shop.say(given(20, subject="bob"))
    await shop.retrain()
    async with learners.lock(shop.tenant, TASK):
        assert len((await learners.current(shop.tenant, TASK)).learner.kept()) == 20
    await shop.log.forget(shop.tenant, TASK, "bob")
    assert await shop.retrain() == "forgotten"
    async with learners.lock(shop.tenant, TASK):
        assert (await learners.current(shop.tenant, TASK)).learner.kept() == ()


async def test_what_a_subject_says_after_it_was_forgotten_stays(shop: Shop):
    """Before a retraining and after it, in answers, segments and models, and under the same ids."""
    await shop.say(given(20, subject="bob"))
    await shop.say(given(20, seed=1))
    await shop.retrain()
    await shop.say(given(5, seed=2, subject="bob"))
    await shop.log.forget(shop.tenant, TASK, "bob")
    anew = Feedback("0-3", {"task": "route", "message": "zebra lion"}, "zoo", "bob")
    await shop.say([anew])
    for outcome in ("forgotten", "nothing new"):
        assert (await shop.served()).learner.predict(anew.context)[0] == "zoo"
        assert await shop.retrain() == outcome
    served = await shop.served()
    assert served.learner.predict(anew.context)[0] == "zoo"
    bobs = [one.action for one in served.learner.kept() if one.source.name == "bob"]
    assert (bobs, len(served.learner.kept()), served.degraded) == (["zoo"], 21, "")
    assert [one.feedback for one in await shop.entries() if one.feedback][-1] == anew


Step = tuple[str, str]  # what happens, and to whom


@settings(max_examples=40, deadline=None)
@hypothesis.given(
    st.lists(st.tuples(st.sampled_from(["say", "forget", "retrain"]), st.sampled_from("ab")))
)
def test_in_any_order_what_was_said_since_its_subject_was_forgotten_is_kept_and_no_more(
    steps: list[Step],
):
    async def story() -> None:
        shop, said = Shop(), list[Feedback]()
        for number, (what, who) in enumerate(steps):
            if what == "say":
                word = Feedback(f"{number % 3}", {"message": f"word{number}"}, "pay", who)
                taken = await shop.log.add(shop.tenant, TASK, [word])
                said += [word] * taken.count("new")
            elif what == "forget":
                await shop.log.forget(shop.tenant, TASK, who)
                said = [one for one in said if one.subject != who]
            else:
                await shop.retrain()
        await shop.retrain()
        assert [one.feedback for one in await shop.entries() if one.feedback] == said
        assert len((await shop.served()).learner.kept()) == len(said)
        assert set(shop.objects()) - {"pointer"} == (await shop.pointer()).names()

    asyncio.run(story())


async def test_killed_at_any_change_forgetting_is_begun_anew_and_leaves_nothing():
    for change in range(1, 12):
        shop = Shop()
        await shop.say(given(20))
        await shop.say(given(10, seed=1, subject="bob-secret"))
        shop.blobs.left = change % 4  # an orphan of a retraining before, perhaps
        with suppress(KilledError):
            await shop.retrain()
        shop.blobs.left = math.inf
        await shop.retrain()
        await shop.log.forget(shop.tenant, TASK, "bob-secret")
        shop.blobs.left = change
        with suppress(KilledError):
            await shop.retrain()
        shop.blobs.left = math.inf
        await shop.retrain()
        assert shop.objects(b"bob-secret") == [], change
        assert await shop.log.to_forget(shop.tenant, TASK) == {}
        assert len((await shop.served()).learner.kept()) == 20


async def test_what_is_forgotten_wholly_is_not_brought_back_by_a_retraining_that_runs(shop: Shop):
    await shop.say(given(60, subject="bob-secret"))
    running = asyncio.create_task(shop.retrain())
    await asyncio.sleep(0.05)
    with suppress(ConflictError):
        await changes.forget_task(shop.store, shop.log, shop.tenant, TASK)
    await running
    await changes.forget_task(shop.store, shop.log, shop.tenant, TASK)
    assert shop.objects(b"bob-secret") == []
    assert (await shop.served()).learner.kept() == ()


async def test_a_task_that_is_forgotten_frees_its_place_also_where_that_was_killed_before(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feedback, "MOST_LISTED", 1)
    other = replace(shop, task="other")
    await shop.say(given(10))
    await shop.retrain()
    with pytest.raises(ConflictError):
        await other.say(given(1))

    def away(*_: Any) -> None:
        raise UnavailableError("away")

    with monkeypatch.context() as changed:
        changed.setattr(shop.blobs, "delete_all", away)
        with pytest.raises(UnavailableError):
            await changes.forget_task(shop.store, shop.log, shop.tenant, TASK)
    assert shop.objects(b"u1")
    for task in await shop.log.tasks(shop.tenant):  # as who forgets all tasks would find it
        await changes.forget_task(shop.store, shop.log, shop.tenant, task)
    assert await shop.log.tasks(shop.tenant) == []
    assert shop.objects() == ["pointer"]
    await other.say(given(1))

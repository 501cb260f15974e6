"""Retraining: what is published, what is refused, and what a model has."""

import random
import weakref
from collections.abc import Sequence

import pytest

from core.learning import changes, retraining
from core.learning.evaluation import prequential
from core.learning.feedback import Entry, Feedback
from core.learning.learner import Learner
from core.learning.learner.model import Model
from core.learning.models import stored
from core.learning.models.pointer import Pointer, Segment, Version
from core.learning.patterns import Pattern
from core.learning.replay import learn
from core.learning.segments import Segments
from core.learning.time_limit import CHUNK
from tests.contract.retraining_parts import (
    TASK,
    Shop,
    given,
    right,
    shop,
)


class Seen(Entry):
    """An entry of which one can tell whether anything still has it."""

    __slots__ = ("__weakref__",)


__all__ = ["shop"]  # fixtures


async def test_a_first_model_is_published_and_its_feedback_leaves_redis(shop: Shop):
    await shop.say(given(120))
    assert await shop.retrain() == "published"
    assert await shop.log.after(shop.tenant, TASK, 0, 10) == []
    pointer = await shop.pointer()
    (version,) = pointer.versions
    assert (version.position, version.patterns, version.left_out) == (120, 120, 0)
    (evaluated,) = pointer.evaluations
    assert (evaluated.events, evaluated.published, evaluated.version) == (40, 1, version.version)
    served = await shop.served()
    assert (served.learner.version, served.position, served.degraded) == (version.version, 120, "")
    assert right(served) > 0.9
    assert served.learner.recommend({"task": "route", "message": "bill"}).actions[0].patterns


async def test_without_new_feedback_nothing_is_made(shop: Shop):
    assert await shop.retrain() == "nothing new"
    await shop.say(given(60))
    await shop.retrain()
    before = shop.objects(), await shop.pointer()
    assert await shop.retrain() == "nothing new"
    assert (shop.objects(), await shop.pointer()) == before


async def test_what_came_since_is_learnt_by_readers_and_by_the_next_model(shop: Shop):
    await shop.say(given(60))
    await shop.retrain()
    new = Feedback("zoo", {"task": "route", "message": "zebra lion"}, "zoo", "ana")
    await shop.say([new])
    for position in (61, 61):
        served = await shop.served()
        assert served.learner.predict(new.context)[0] == "zoo"
        assert served.position == position
        await shop.retrain()
    assert len((await shop.pointer()).segments) == 1  # small ones are joined


async def test_a_candidate_that_is_worse_is_refused_and_what_is_new_counts_all_the_same(shop: Shop):
    """The current model knows more than the feedback that is kept: its segments were lost."""
    facts = [({"message": f"word{n}"}, f"action{n * 7 % 5}") for n in range(60)]
    learner = Learner()
    for context, action in facts:
        learner.learn(Pattern(context, action))
    good = learner.model(1)
    await shop.store.save_model(shop.tenant, TASK, good)
    first = Pointer(1, 1, versions=(Version(1, 0, 0, 60, 0),))
    await changes.publish(shop.store, shop.log, shop.tenant, TASK, first, None)
    await shop.say([Feedback(f"f{n}", c, a, "ana") for n, (c, a) in enumerate(facts[:36])])
    new = Feedback("zoo", {"task": "route", "message": "zebra lion"}, "zoo", "ana")
    await shop.say([new])
    assert await shop.retrain() == "refused"
    pointer = await shop.pointer()
    assert (pointer.version, pointer.evaluations[0].published) == (1, 0)
    assert pointer.evaluations[0].right < pointer.evaluations[0].current_right
    assert await shop.log.after(shop.tenant, TASK, 0, 10) == []
    served = await shop.served()
    assert (served.learner.version, served.position) == (1, 37)
    assert served.learner.predict(new.context)[0] == "zoo"


async def test_neither_the_candidate_nor_the_current_model_has_seen_what_they_are_judged_by(
    shop: Shop,
):
    """Actions are drawn by lot: who has not seen what was said cannot know it, and who has does."""
    draw = random.Random(7)
    for batch in range(2):
        facts = [
            Feedback(
                f"{batch}-{n}", {"message": draw.randbytes(8).hex()}, draw.choice("abcde"), "ana"
            )
            for n in range(30)
        ]
        await shop.say(facts)
        assert await shop.retrain() == "published"
    evaluated = (await shop.pointer()).evaluations[-1]
    first = (await shop.pointer()).versions[-1]
    asked = (await shop.entries())[-evaluated.events :]
    assert [one.number for one in asked] == list(range(41, 61))
    current = Learner(await shop.store.model(shop.tenant, TASK, first.version, 0))
    candidate = Learner()
    learn(current, (await shop.entries())[30:40])
    learn(candidate, (await shop.entries())[:40])
    assert evaluated.current_right == sum(prequential(current, asked).right) < 15
    assert evaluated.right == sum(prequential(candidate, asked).right) < 15


async def test_five_versions_are_kept_and_any_of_them_can_answer_again(shop: Shop):
    for turn in range(7):
        await shop.say(given(30, seed=turn))
        await shop.retrain()
    pointer = await shop.pointer()
    numbers = [one.version for one in pointer.versions]
    assert len(numbers) == 5
    assert numbers == sorted(numbers, reverse=True)
    models = [f"models/0/{number}" for number in numbers]
    assert shop.objects() == sorted([*models, "pointer", f"segments/{pointer.segments[0].name}"])
    rolled = await changes.roll_back(shop.store, shop.log, shop.tenant, TASK, numbers[-1])
    assert (rolled.version, rolled.sequence) == (numbers[-1], pointer.sequence + 1)
    served = await shop.served()
    assert (served.learner.version, served.position) == (numbers[-1], 210)
    assert len(served.learner.kept()) == 210  # what came since is learnt, from segments


async def test_a_model_that_would_be_too_large_to_be_read_keeps_what_was_said_last(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    await shop.say(given(400))
    assert await shop.retrain() == "published"
    whole = stored.size_bytes(stored.plain(await latest(shop)))
    monkeypatch.setattr(stored, "MAX_BYTES", whole - 50_000)
    await shop.say(given(3, seed=2, subject="bob"))
    for outcome in ("published", "forgotten"):
        assert await shop.retrain() == outcome
        model, served = await latest(shop), await shop.served()
        assert 100 < len(model.kept) < 390
        assert stored.size_bytes(stored.plain(model)) <= stored.MAX_BYTES
        assert (await shop.pointer()).versions[0].patterns == len(model.kept)
        assert (served.learner.version, served.degraded) == (model.version, "")
        assert right(served) > 0.9
        await shop.log.forget(shop.tenant, TASK, "bob")


async def latest(shop: Shop) -> Model:
    pointer = await shop.pointer()
    return await shop.store.model(shop.tenant, TASK, pointer.version, pointer.generation)


async def test_a_current_model_that_is_refused_is_replaced(shop: Shop):
    await shop.say(given(60))
    await shop.retrain()
    version = (await shop.pointer()).version
    shop.blobs.put(shop.tenant, f"learning/{TASK}/models/0/{version}", b"x", "")
    await shop.say(given(30, seed=1))
    assert await shop.retrain() == "published"
    assert (await shop.served()).degraded == ""


async def test_little_time_leaves_feedback_out_and_the_version_says_how_much():
    shop = Shop(seconds=0.0)
    await shop.say(given(900))
    assert await shop.retrain() == "published"
    (version,) = (await shop.pointer()).versions
    assert version.left_out == 600 - CHUNK  # the first chunk is learnt, and the newest is tried
    assert version.patterns == 300 + CHUNK


async def test_segments_are_learnt_one_after_the_other_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(retraining, "SMALL_BYTES", 0)  # no segment is joined with the next
    shop = Shop()
    for seed in range(4):
        await shop.say(given(40, seed))
        await shop.retrain()
    assert len((await shop.pointer()).segments) == 4
    held, most = list[weakref.ref[Entry]](), 0
    read = Segments.read

    async def noted(self: Segments, segments: Sequence[Segment]) -> list[Entry]:
        nonlocal most
        entries = [Seen(one.number, one.feedback) for one in await read(self, segments)]
        held.extend(map(weakref.ref, entries))
        most = max(most, sum(one() is not None for one in held))
        return list(entries)

    monkeypatch.setattr(Segments, "read", noted)
    await shop.say(given(40, seed=9))
    assert await shop.retrain() == "published"
    newest = (await shop.pointer()).versions[0]
    assert (newest.patterns, newest.left_out) == (200, 0)
    assert most <= 3 * 40  # that which is tried, that which is learnt, and that which is read

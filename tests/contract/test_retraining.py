"""Retraining: what is published, what is refused, and that nothing is lost wherever it is killed."""

import asyncio
import math
import random
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from core.adapters.scikit_learn import indexed
from core.blobs import VersionedBlob
from core.errors import UnavailableError
from core.learning import changes, retraining
from core.learning.evaluation import prequential
from core.learning.feedback import Entry, Feedback, Lease
from core.learning.learner import Learner
from core.learning.learner.model import Model
from core.learning.models import stored
from core.learning.models.pointer import Pointer, Segment, Version
from core.learning.patterns import Pattern
from core.learning.replay import learn
from core.learning.segments import Segments
from core.learning.time_limit import CHUNK
from functions import retrain
from tests.contract.retraining_parts import (
    TASK,
    KilledError,
    Shop,
    at_once,
    given,
    right,
    shop,
)


class Seen(Entry):
    """An entry of which one can tell whether anything still has it."""

    __slots__ = ("__weakref__",)


HOUR_MS = 3_600_000
__all__ = ["at_once", "shop"]  # fixtures


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


async def test_of_two_at_once_one_publishes_and_the_other_gives_up_without_a_trace(shop: Shop):
    await shop.say(given(60))
    outcomes = await asyncio.gather(*(shop.retrain() for _ in range(3)))
    assert outcomes.count("published") == 1
    assert set(outcomes) <= {"published", "overtaken", "nothing new"}
    pointer = await shop.pointer()
    assert set(shop.objects()) == pointer.names() | {"pointer"}
    assert len(await shop.ids()) == len(set(await shop.ids())) == 60


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("change", range(1, 9))
@pytest.mark.usefixtures("at_once")
async def test_killed_at_any_change_it_is_begun_anew_and_loses_nothing(
    shop: Shop, change: int, after: bool
):
    """Nothing is said between: what the killed one began is all there is to be done."""
    await shop.say(given(30))
    await shop.wake()
    await shop.say(given(30, seed=1))
    shop.blobs.left, shop.blobs.after = change - (not after), after
    with suppress(KilledError):
        await shop.wake()
    shop.blobs.left = math.inf
    assert len(set(await shop.ids())) == 60
    served = await shop.served()
    assert (len(served.learner.kept()), served.degraded) == (60, "")
    await shop.wake()
    pointer = await shop.pointer()
    assert (pointer.position, len(pointer.evaluations)) == (60, 2)
    assert len(await shop.ids()) == len(set(await shop.ids())) == 60
    assert set(shop.objects()) == pointer.names() | {"pointer"}
    assert await shop.log.after(shop.tenant, TASK, 0, 10) == []
    assert await shop.wake() == {}


@pytest.mark.parametrize(("changes_made", "kind"), [(1, "segments"), (3, "models")])
async def test_what_was_written_and_not_named_when_a_run_was_killed_is_removed_by_the_next_one(
    shop: Shop, changes_made: int, kind: str
):
    await shop.say(given(30))
    shop.blobs.left, shop.blobs.after = changes_made, True
    with pytest.raises(KilledError):
        await shop.retrain()
    shop.blobs.left = math.inf
    (orphan,) = set(shop.objects()) - (await shop.pointer()).names() - {"pointer"}
    assert orphan.startswith(kind)
    assert await shop.retrain() == "published"
    assert set(shop.objects()) == (await shop.pointer()).names() | {"pointer"}
    assert len(await shop.ids()) == 30


async def test_a_slow_run_names_nothing_that_another_one_took_for_left(shop: Shop):
    """Its segment is written; before it is named, another run removes that, and is killed."""
    await shop.say(given(30))
    paused, put = list[str](), shop.blobs.put
    loop = asyncio.get_running_loop()

    def pausing(tenant: str, blob: str, data: bytes, content_type: str) -> None:
        put(tenant, blob, data, content_type)
        if "segments/" in blob and not paused:
            paused.append(blob)
            shop.blobs.left = 2
            with pytest.raises(KilledError):
                asyncio.run_coroutine_threadsafe(shop.retrain(), loop).result(30)
            shop.blobs.left = math.inf

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(shop.blobs, "put", pausing)
        assert await shop.retrain() == "overtaken"
    assert await shop.retrain() == "published"
    assert set(shop.objects()) == (await shop.pointer()).names() | {"pointer"}
    assert len(await shop.ids()) == len(set(await shop.ids())) == 30
    assert (await shop.served()).degraded == ""


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


async def test_one_that_fails_after_its_feedback_has_left_redis_is_begun_anew_when_its_lease_is_over(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    def away(_learner: Learner, _version: int) -> Model:
        raise UnavailableError("away for a second")

    monkeypatch.setattr(retrain, "DELAY_MS", 0)
    monkeypatch.setattr(retrain, "LEASE_MS", 1500)
    await shop.say(given(30))
    assert await shop.wake(away) == {"failed": 1}
    assert await shop.log.after(shop.tenant, TASK, 0, 10) == []
    assert await shop.wake() == {}
    await asyncio.sleep(1.6)
    assert await shop.wake() == {"published": 1}
    assert await shop.wake() == {}


@pytest.mark.usefixtures("at_once")
async def test_one_that_is_overtaken_by_a_roll_back_is_begun_anew(shop: Shop):
    await shop.say(given(30))
    await shop.wake()
    first = (await shop.pointer()).version
    loop, rolled = asyncio.get_running_loop(), list[Any]()

    def rolling_back(learner: Learner, version: int) -> Model:
        if not rolled:
            back = changes.roll_back(shop.store, shop.log, shop.tenant, TASK, first)
            rolled.append(asyncio.run_coroutine_threadsafe(back, loop).result())
        return indexed(learner, version)

    await shop.say(given(30, seed=1))
    assert await shop.wake(rolling_back) == {"overtaken": 1, "published": 1}
    assert (await shop.pointer()).position == 60
    assert await shop.wake() == {}


async def test_nobody_else_has_a_task_while_it_is_retrained_and_what_came_meanwhile_is_next(
    shop: Shop,
):
    taken = list[Any]()

    def learning(learner: Learner, version: int) -> Model:
        """The model is fitted, in a thread: its feedback has left Redis, and somebody says more."""
        for change in (shop.say(given(5, seed=9)), shop.log.forget(shop.tenant, TASK, "u1")):
            asyncio.run_coroutine_threadsafe(change, loop).result()
        taken.append(asyncio.run_coroutine_threadsafe(shop.log.lease(1, 0), loop).result())
        return indexed(learner, version)

    loop = asyncio.get_running_loop()
    await shop.say(given(30))
    lease = await shop.log.lease(HOUR_MS, 0)
    assert lease == Lease(shop.tenant, TASK, lease.until_ms if lease else 0)
    assert await shop.retrainer(learning).retrain(shop.tenant, TASK) == "published"
    assert taken == [None]
    assert await shop.log.lease(HOUR_MS, HOUR_MS) is None
    assert lease
    await shop.log.release(lease)
    found = await shop.log.lease(HOUR_MS, HOUR_MS)  # at once, since there is something to forget
    assert found
    assert found.task == TASK


async def test_a_store_that_is_away_leaves_all_as_it_was(shop: Shop, monkeypatch: Any):
    await shop.say(given(30))

    def away(*_: Any) -> VersionedBlob:
        raise UnavailableError("away")

    monkeypatch.setattr(shop.blobs, "read", away)
    with pytest.raises(UnavailableError):
        await shop.retrain()
    assert shop.objects() == []
    assert len(await shop.log.after(shop.tenant, TASK, 0, 100)) == 30


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

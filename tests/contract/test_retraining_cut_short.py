"""Retraining that is killed, slow, overtaken or fails: it is begun anew, loses nothing, and leaves nothing behind."""

import asyncio
import math
from contextlib import suppress
from typing import Any

import pytest

from core.adapters.scikit_learn import indexed
from core.blobs import VersionedBlob
from core.errors import UnavailableError
from core.learning import changes
from core.learning.feedback import Lease
from core.learning.learner import Learner
from core.learning.learner.model import Model
from functions import retrain
from tests.contract.retraining_parts import (
    TASK,
    KilledError,
    Shop,
    at_once,
    given,
    shop,
)

__all__ = ["at_once", "shop"]  # fixtures


HOUR_MS = 3_600_000


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

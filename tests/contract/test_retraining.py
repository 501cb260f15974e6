"""Retraining: what is published, what is refused, and that nothing is lost wherever it is killed."""

import asyncio
import math
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog
from core.adapters.scikit_learn import indexed
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.feedback import UpstashFeedbackLog
from core.adapters.upstash.http import HttpRedis
from core.blobs import VersionedBlob
from core.errors import ConflictError, UnavailableError
from core.learning import changes, retraining
from core.learning.feedback import Entry, Feedback, FeedbackLog, entries_of
from core.learning.learner import Learner
from core.learning.model_store import ModelStore
from core.learning.patterns import Pattern
from core.learning.pointer import Pointer, Version
from core.learning.retraining import Budget, Retrainer
from core.learning.seals import SealKeys
from core.learning.serving import Learners, Served
from core.learning.trials import is_worse
from tests.fixtures_ports import own_keys
from tests.unit.learning.test_learner import stream

KEYS = SealKeys({"new": "5e6f7a8b" * 8})
TASK = "route"
T = TypeVar("T")


class KilledError(Exception):
    """Ends a retraining as a kill would: nothing of it goes on."""


class Killing(MemoryBlobs):
    """An object store at whose so-manieth change the process dies, before it or after it."""

    left = math.inf
    after = False
    within = False  # a swap puts

    def _change(self, change: Callable[[], T]) -> T:
        if self.within:
            return change()
        self.left -= 1
        if self.left < 0:
            raise KilledError
        self.within = True
        try:
            done = change()
        finally:
            self.within = False
        if self.left == 0 and self.after:
            raise KilledError
        return done

    def put(self, tenant: str, blob: str, data: bytes, content_type: str) -> None:
        self._change(lambda: MemoryBlobs.put(self, tenant, blob, data, content_type))

    def swap(self, tenant: str, blob: str, data: bytes, content_type: str, etag: str | None) -> str:
        return self._change(lambda: MemoryBlobs.swap(self, tenant, blob, data, content_type, etag))

    def delete(self, tenant: str, blob: str) -> None:
        self._change(lambda: MemoryBlobs.delete(self, tenant, blob))


@dataclass
class Shop:
    """What learns: an object store, a log, and ways to look at them."""

    log: FeedbackLog = field(default_factory=MemoryFeedbackLog)
    blobs: Killing = field(default_factory=Killing)
    seconds: float = 600.0
    tenant: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")

    @property
    def store(self) -> ModelStore:
        return ModelStore(lambda: self.blobs, KEYS)

    async def say(self, some: Sequence[Feedback]) -> None:
        for start in range(0, len(some), 500):
            await self.log.add(self.tenant, TASK, some[start : start + 500])

    async def retrain(self) -> str:
        retrainer = Retrainer(self.store, self.log, indexed, lambda: self.seconds, lambda: 17)
        return await retrainer.retrain(self.tenant, TASK)

    async def pointer(self) -> Pointer:
        return (await changes.current(self.store, self.log, self.tenant, TASK)).pointer

    async def served(self) -> Served:
        """What a process that begins now would answer from."""
        learners = Learners(self.store, self.log)
        async with learners.lock(self.tenant, TASK):
            return await learners.current(self.tenant, TASK)

    async def ids(self) -> list[str]:
        """All feedback that is kept, in its order: segments first, then Redis."""
        pointer, found = await self.pointer(), list[Entry]()
        for segment in pointer.segments:
            found += entries_of(await self.store.segment(self.tenant, TASK, segment))
        found += await self.log.after(self.tenant, TASK, pointer.stored, 100_000)
        return [one.feedback.id for one in found if one.feedback]

    def objects(self, holding: bytes = b"") -> list[str]:
        return sorted(
            blob.removeprefix(f"learning/{TASK}/")
            for (_, blob), data in self.blobs._blobs.items()
            if holding in data
        )


@pytest.fixture(params=["memory", "upstash"])
def shop(request: pytest.FixtureRequest) -> Shop:
    if request.param == "memory":
        return Shop()
    rest = request.getfixturevalue("gateway")
    redis = RetryingClient(HttpRedis(rest.url, rest.token))
    return Shop(UpstashFeedbackLog(redis, own_keys()))


def given(many: int, seed: int = 0, subject: str | None = None) -> list[Feedback]:
    return [
        Feedback(f"{seed}-{n}", context, action, subject or f"u{n % 5}", at_ms=n)
        for n, (context, action) in enumerate(stream(many, seed))
    ]


def right(served: Served) -> float:
    asked = list(stream(60, seed=99))
    return sum(served.learner.predict(c)[0] == action for c, action in asked) / len(asked)


async def test_a_first_model_is_published_and_its_feedback_leaves_redis(shop: Shop):
    await shop.say(given(120))
    assert await shop.retrain() == "published"
    assert await shop.log.after(shop.tenant, TASK, 0, 10) == []
    pointer = await shop.pointer()
    (version,) = pointer.versions
    assert (version.position, version.patterns, version.left_out) == (120, 120, 0)
    (trial,) = pointer.trials
    assert (trial.events, trial.published, trial.version) == (40, 1, version.version)
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
    assert (pointer.version, pointer.trials[0].published) == (1, 0)
    assert pointer.trials[0].right < pointer.trials[0].current_right
    assert await shop.log.after(shop.tenant, TASK, 0, 10) == []
    served = await shop.served()
    assert (served.learner.version, served.position) == (1, 37)
    assert served.learner.predict(new.context)[0] == "zoo"


def test_a_candidate_is_refused_where_it_is_worse_by_more_than_chance():
    same = [True, False] * 50
    assert not is_worse(same, same)
    assert not is_worse([True] * 10, [False] * 10)
    assert is_worse([False] * 10, [True] * 10)
    assert not is_worse([False, True] * 50, [True, False] * 50)
    assert not is_worse([], [])
    assert is_worse([True] * 90 + [False] * 10, [True] * 100)


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
    assert sorted(outcomes)[:1] == ["overtaken"] or "nothing new" in outcomes
    assert "published" in outcomes
    pointer = await shop.pointer()
    assert set(shop.objects()) == pointer.names() | {"pointer"}
    assert len(await shop.ids()) == len(set(await shop.ids())) == 60


async def test_killed_at_any_change_it_is_begun_anew_and_loses_nothing():
    for after in (False, True):
        for change in range(1, 12):
            shop = Shop()
            await shop.say(given(30))
            await shop.retrain()
            await shop.say(given(30, seed=1))
            shop.blobs.left, shop.blobs.after = change - (not after), after
            with suppress(KilledError):
                await shop.retrain()
            shop.blobs.left = math.inf
            assert len(set(await shop.ids())) == 60, (change, after)
            assert (await shop.served()).degraded == ""
            assert len((await shop.served()).learner.kept()) == 60
            await shop.say(given(30, seed=2))
            assert await shop.retrain() == "published"
            assert len(await shop.ids()) == len(set(await shop.ids())) == 90
            assert len((await shop.served()).learner.kept()) == 90


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
    assert await shop.log.to_forget(shop.tenant, TASK) == set()
    served = await shop.served()
    assert (len(served.learner.kept()), served.degraded) == (50, "")
    assert "bob-secret" not in {one.source.name for one in served.learner.kept()}
    assert await shop.retrain() == "nothing new"
    await shop.say(given(10, seed=4))
    assert await shop.retrain() == "published"
    assert len((await shop.served()).learner.kept()) == 60


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
        assert await shop.log.to_forget(shop.tenant, TASK) == set()
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


class Ticking:
    """A clock that a learner's work moves: each chunk takes a second for 100 feedbacks."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_there_is_no_time_for_is_the_oldest_and_is_counted(monkeypatch: pytest.MonkeyPatch):
    clock, taken = Ticking(), list[int]()

    def slowly(_: Learner, entries: Sequence[Entry]) -> int:
        taken.extend(one.number for one in entries)
        clock.now += len(entries) / 100
        return 0

    monkeypatch.setattr(retraining, "learn", slowly)
    entries = [Entry(n, None) for n in range(10_000)]
    left_out = Budget(50.0, clock).learn(Learner(), entries)
    assert left_out == 10_000 - len(taken)
    assert 4_800 <= len(taken) <= 5_200
    assert taken[-4_000:] == list(range(6_000, 10_000))
    assert clock.now <= 52


def test_where_there_is_time_nothing_is_left_out():
    entries = [Entry(n, None) for n in range(450)]
    assert Budget(math.inf).learn(Learner(), entries) == 0


async def test_little_time_leaves_feedback_out_and_the_version_says_how_much():
    shop = Shop(seconds=0.0)
    await shop.say(given(900))
    assert await shop.retrain() == "published"
    (version,) = (await shop.pointer()).versions
    assert version.left_out == 400  # the first chunk is learnt, and the newest is tried
    assert version.patterns == 500

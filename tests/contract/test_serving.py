"""What answers from models while the store, the pointer or a model is not as it should be."""

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import cpu
from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog
from core.blobs import BlobStore, VersionedBlob
from core.errors import UnavailableError
from core.learning import served, serving
from core.learning.feedback import Entry, Feedback, entries_of, lines
from core.learning.learner import Learner
from core.learning.learner.model import Model
from core.learning.models.model_file import to_bytes
from core.learning.models.model_store import ModelStore
from core.learning.models.pointer import Pointer
from core.learning.models.seals import Label
from core.learning.serving import Learners
from tests.contract.store_parts import (
    KEYS,
    PLACE,
    QUESTION,
    SPOILT,
    TASK,
    Clock,
    answer,
    at,
    aws,
    blobs,
    clock,
    model,
    publish,
    put_pointer,
    read,
)
from tests.pace import cpu_bound

__all__ = ["aws", "blobs", "clock", "model"]  # fixtures


async def test_a_warm_process_takes_the_next_model_and_asks_for_the_pointer_alone(
    blobs: BlobStore, model: Model, clock: Clock
):
    learners = Learners(ModelStore(lambda: blobs, KEYS), MemoryFeedbackLog(), clock)
    assert await answer(learners) == (None, 0, "")
    await publish(blobs, model)
    assert await answer(learners) == (None, 0, "")
    clock.recheck()
    assert await answer(learners) == ("pay", 3, "")
    blobs.delete("t", PLACE)  # nobody reads it again
    clock.recheck()
    assert await answer(learners) == ("pay", 3, "")
    await publish(blobs, replace(model, version=4), 2)
    clock.recheck()
    assert await answer(learners) == ("pay", 4, "")


@pytest.mark.parametrize("kind", SPOILT)
async def test_the_last_good_model_answers_while_the_next_one_is_refused(
    kind: str, model: Model, clock: Clock, tmp_path: Path
):
    blobs = MemoryBlobs()
    learners = Learners(ModelStore(lambda: blobs, KEYS), MemoryFeedbackLog(), clock)
    await publish(blobs, replace(model, version=2))
    assert await answer(learners) == ("pay", 2, "")
    await publish(blobs, model, 2)
    good = read(blobs)
    spoil, why = SPOILT[kind]
    blobs.put("t", PLACE, spoil(good, tmp_path / "ran"), "")
    for _ in range(2):
        clock.recheck()
        action, version, degraded = await answer(learners)
        assert (action, version) == ("pay", 2)
        assert why in degraded
    blobs.put("t", PLACE, good, "")
    clock.recheck()
    assert await answer(learners) == ("pay", 3, "")
    assert not (tmp_path / "ran").exists()


async def test_a_process_that_begins_with_a_refused_model_takes_the_one_before_it(
    model: Model, clock: Clock
):
    blobs = MemoryBlobs()
    store = ModelStore(lambda: blobs, KEYS)
    for version in (1, 2):
        await store.save_model("t", TASK, replace(model, version=version))
    put_pointer(blobs, at(3, 4, 1, 2))
    blobs.put("t", PLACE, b"x", "")
    action, version, degraded = await answer(Learners(store, MemoryFeedbackLog(), clock))
    assert (action, version, degraded) == ("pay", 2, "model 0/3 is refused: it has no seal")


async def test_a_roll_back_is_one_pointer_of_a_higher_sequence(
    blobs: BlobStore, model: Model, clock: Clock
):
    store = ModelStore(lambda: blobs, KEYS)
    learners = Learners(store, MemoryFeedbackLog(), clock)
    for version in (3, 4):
        await store.save_model("t", TASK, replace(model, version=version))
    put_pointer(blobs, at(4, 1, 3))
    assert (await answer(learners))[1] == 4
    put_pointer(blobs, at(3, 2, 4))
    clock.recheck()
    assert await answer(learners) == ("pay", 3, "")


async def test_an_old_pointer_that_is_put_back_is_refused_by_who_has_seen_a_newer_one(
    model: Model, clock: Clock
):
    blobs, log = MemoryBlobs(), MemoryFeedbackLog()
    store = ModelStore(lambda: blobs, KEYS)
    learners = Learners(store, log, clock)
    await publish(blobs, replace(model, version=2), 1)
    old = read(blobs, place=f"learning/{TASK}/pointer")
    await publish(blobs, model, 2)
    assert (await answer(learners))[1] == 3
    blobs.put("t", f"learning/{TASK}/pointer", old, "")
    clock.recheck()
    assert await answer(learners) == ("pay", 3, "pointer 1 is refused: there was 2 before")


async def test_an_old_pointer_is_refused_by_a_new_process_too_since_redis_knows_the_floor(
    model: Model, clock: Clock
):
    blobs, log = MemoryBlobs(), MemoryFeedbackLog()
    await publish(blobs, model, 1)
    await log.raise_floor("t", TASK, 2)
    await log.raise_floor("t", TASK, 1)
    learners = Learners(ModelStore(lambda: blobs, KEYS), log, clock)
    assert await answer(learners) == (None, 0, "pointer 1 is refused: there was 2 before")
    put_pointer(blobs, at(3, 2))
    clock.recheck()
    assert await answer(learners) == ("pay", 3, "")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"[" * 100_000, b'{"sequence":1}', b"\xff"])
async def test_a_pointer_that_is_none_is_refused(data: bytes, model: Model, clock: Clock):
    blobs = MemoryBlobs()
    learners = Learners(ModelStore(lambda: blobs, KEYS), MemoryFeedbackLog(), clock)
    await publish(blobs, model, 1)
    assert (await answer(learners))[1] == 3
    for spoilt in (data, KEYS.seal(Label("pointer", "t", TASK), data)):
        blobs.put("t", f"learning/{TASK}/pointer", spoilt, "")
        clock.recheck()
        action, version, degraded = await answer(learners)
        assert (action, version, bool(degraded)) == ("pay", 3, True)


class Ticking:
    """Seconds, three for each time that somebody looks: so one answer has two turns, on any machine."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 3.0
        return self.now


async def test_more_feedback_than_one_answer_has_time_for_is_learnt_by_the_next_ones():
    blobs, log = MemoryBlobs(), MemoryFeedbackLog()
    given = [Feedback(f"f{n}", {"message": f"word{n}"}, "pay", "ana") for n in range(480)]
    await log.add("t", TASK, given)
    learners = Learners(ModelStore(lambda: blobs, KEYS), log, Ticking())
    seen = [await learners.recommend("t", TASK, QUESTION)]
    while seen[-1].degraded:
        seen.append(await learners.recommend("t", TASK, QUESTION))
    positions = [one.position for one in seen]
    assert 0 < positions[0] < positions[-1] == 480
    assert positions == sorted(set(positions))
    assert [one.degraded for one in (seen[0], seen[-1])] == [serving.BEHIND, ""]
    assert all(one.actions[0].action == "pay" for one in seen)


async def test_segments_of_which_there_is_no_model_are_learnt_by_the_next_answers_too():
    """As after a retraining that was killed before it had a model: Redis has none of them any more."""
    blobs, log = MemoryBlobs(), MemoryFeedbackLog()
    given = [Feedback(f"f{n}", {"message": f"word{n}"}, "pay", "ana") for n in range(480)]
    await log.add("t", TASK, given)
    entries = await log.after("t", TASK, 0, 1000)
    store = ModelStore(lambda: blobs, KEYS)
    written = [
        await store.save_segment(
            "t", TASK, lines(part), generation=2, first=part[0].number, last=part[-1].number
        )
        for part in (entries[:300], entries[300:])
    ]
    await store.publish("t", TASK, Pointer(1, generation=2, segments=tuple(written)), None)
    await log.trim("t", TASK, 480)
    await log.add("t", TASK, [Feedback("new", {"message": "new"}, "pay", "ana")])
    learners = Learners(store, log, Ticking())
    seen = [await learners.recommend("t", TASK, QUESTION)]
    while seen[-1].degraded:
        seen.append(await learners.recommend("t", TASK, QUESTION))
    assert 1 < len(seen) < 50
    assert seen[-1].position == 481
    async with learners.lock("t", TASK):
        learner = (await learners.current("t", TASK)).learner
    assert len(learner.kept()) == 481  # none was passed over


FAT: dict[
    str, Any
] = {  # a context within all bounds that makes as many and as long terms as it can
    "\U0001f600" + "y" * 63: {"z" * 64: [" ".join(["\u0101"] * 32)] * 460}
}


async def test_no_turn_is_long_and_no_memory_is_large_whatever_feedback_holds(
    monkeypatch: pytest.MonkeyPatch,
):
    turns, run = list[float](), cpu.run

    async def timed(tenant: str, work: Any, data: Any, *more: Any) -> Any:
        def in_thread(given: Any) -> Any:
            began = time.thread_time()
            done = work(given)
            turns.append(time.thread_time() - began)
            return done

        return await run(tenant, in_thread, data, *more)

    monkeypatch.setattr(cpu, "run", timed)
    log = MemoryFeedbackLog()
    given = [Feedback(f"f{n}", FAT | {"n": n}, "pay", "ana") for n in range(40)]
    await log.add("t", TASK, given)
    learners = Learners(ModelStore(MemoryBlobs, KEYS), log, time.monotonic)
    await learners.recommend("t", TASK, QUESTION)
    assert max(turns) < cpu_bound(0.1)
    async with learners.lock("t", TASK):
        learner = (await learners.current("t", TASK)).learner
    assert learner.size_bytes < 40 * 500_000


async def test_what_a_later_version_keeps_more_of_a_feedback_is_passed_over():
    text = '[7,{"id":"a","context":{"b":1},"action":"x","subject":"ana","mood":"good"}]'
    assert list(entries_of(text.encode())) == [Entry(7, Feedback("a", {"b": 1}, "x", "ana"))]


class Counting(MemoryBlobs):
    """An object store that counts what is read."""

    reads = 0

    def read(
        self, tenant: str, blob: str, most_bytes: int, etag: str | None = None
    ) -> VersionedBlob | None:
        self.reads += 1
        return super().read(tenant, blob, most_bytes, etag)


async def test_tasks_of_which_nobody_has_said_anything_take_no_room_and_push_out_nobody(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(served, "MOST_NOTHING", 50)
    blobs, log = Counting(), MemoryFeedbackLog()
    learners = Learners(ModelStore(lambda: blobs, KEYS), log, clock)
    await log.add("t", TASK, [Feedback("1", QUESTION, "pay", "ana")])
    assert await answer(learners) == ("pay", 0, "")
    async with learners.lock("t", TASK):
        learner = (await learners.current("t", TASK)).learner
    tracemalloc.start()
    for number in range(500):
        found = await learners.recommend("evil", f"made-up-{number}", QUESTION)
        assert (found.actions, found.degraded) == ((), "")
    assert tracemalloc.get_traced_memory()[0] < 2_000_000
    tracemalloc.stop()
    async with learners.lock("t", TASK):
        assert (await learners.current("t", TASK)).learner is learner
    before = blobs.reads
    for _ in range(5):
        await learners.recommend("evil", "made-up-499", QUESTION)  # it is known to have nothing
    assert blobs.reads == before
    await log.add("evil", "made-up-499", [Feedback("1", QUESTION, "go", "eve")])
    found = await learners.recommend("evil", "made-up-499", QUESTION)
    assert found.actions[0].action == "go"  # said a moment ago


async def test_a_task_that_has_a_model_only_is_found_when_its_pointer_is_asked_for_again(
    model: Model, clock: Clock
):
    blobs = MemoryBlobs()
    learners = Learners(ModelStore(lambda: blobs, KEYS), MemoryFeedbackLog(), clock)
    assert await answer(learners) == (None, 0, "")
    await publish(blobs, model)
    clock.recheck()
    assert await answer(learners) == ("pay", 3, "")


async def test_where_the_store_is_away_a_task_without_feedback_is_told_as_degraded_each_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    blobs = MemoryBlobs()
    learners = Learners(ModelStore(lambda: blobs, KEYS), MemoryFeedbackLog(), clock)

    def away(*_: Any) -> VersionedBlob:
        raise UnavailableError("away")

    with monkeypatch.context() as changed:
        changed.setattr(blobs, "read", away)
        for _ in range(3):
            assert await answer(learners) == (None, 0, "away")
    assert await answer(learners) == (None, 0, "away")
    clock.recheck()
    assert await answer(learners) == (None, 0, "")


async def test_who_has_many_learners_makes_room_with_their_own(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    log = MemoryFeedbackLog()
    learners = Learners(ModelStore(MemoryBlobs, KEYS), log, clock)
    monkeypatch.setattr(served, "MOST_BYTES", 10 * Learner().size_bytes)

    async def learner_of(tenant: str, task: str) -> Learner:
        async with learners.lock(tenant, task):
            return (await learners.current(tenant, task)).learner

    for number in range(3):
        await log.add("few", f"task-{number}", [Feedback("1", QUESTION, "pay", "ana")])
    kept = [await learner_of("few", f"task-{number}") for number in range(3)]
    for number in range(40):
        await log.add("many", f"task-{number}", [Feedback("1", QUESTION, "pay", "eve")])
        await learner_of("many", f"task-{number}")
    assert [await learner_of("few", f"task-{number}") for number in range(3)] == kept
    last = await learner_of("many", "task-39")
    assert last is await learner_of("many", "task-39")


class Replacing(MemoryBlobs):
    """An object store in which a retraining replaces a model, just before it would be read."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._next = model

    def read(
        self, tenant: str, blob: str, most_bytes: int, etag: str | None = None
    ) -> VersionedBlob | None:
        if blob.endswith("models/0/3") and self._next:
            data = KEYS.seal(Label("model", "t", TASK, "0/4"), to_bytes(self._next))
            self.put("t", blob.replace("/3", "/4"), data, "")
            put_pointer(self, at(4, 2))
            self.delete("t", blob)
        return super().read(tenant, blob, most_bytes, etag)


async def test_a_model_that_is_replaced_while_it_is_loaded_is_not_missed(
    model: Model, clock: Clock
):
    blobs = Replacing(replace(model, version=4))
    await publish(blobs, model)
    learners = Learners(ModelStore(lambda: blobs, KEYS), MemoryFeedbackLog(), clock)
    assert await answer(learners) == ("pay", 4, "")

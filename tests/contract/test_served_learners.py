"""The learners of a process: how much each learns in one answer, and which of them are kept."""

import time
import tracemalloc
from typing import Any

import pytest

from core import cpu
from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog
from core.blobs import VersionedBlob
from core.learning import served, serving
from core.learning.feedback import Feedback, lines
from core.learning.learner import Learner
from core.learning.models.model_store import ModelStore
from core.learning.models.pointer import Pointer
from core.learning.serving import Learners
from tests.contract.store_parts import (
    KEYS,
    QUESTION,
    TASK,
    Clock,
    answer,
    clock,
)
from tests.pace import cpu_bound

__all__ = ["clock"]  # fixtures


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

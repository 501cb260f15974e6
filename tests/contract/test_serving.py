"""What answers from models while the store, the pointer or a model is not as it should be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog
from core.blobs import BlobStore, VersionedBlob
from core.errors import UnavailableError
from core.learning.feedback import Entry, Feedback, entries_of
from core.learning.learner.model import Model
from core.learning.models.model_file import to_bytes
from core.learning.models.model_store import ModelStore
from core.learning.models.seals import Label
from core.learning.serving import Learners
from tests.contract.store_parts import (
    KEYS,
    PLACE,
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


async def test_what_a_later_version_keeps_more_of_a_feedback_is_passed_over():
    text = '[7,{"id":"a","context":{"b":1},"action":"x","subject":"ana","mood":"good"}]'
    assert list(entries_of(text.encode())) == [Entry(7, Feedback("a", {"b": 1}, "x", "ana"))]


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

"""Models in the object store, in memory and over S3 (moto's server): what is trusted, what is not, what goes on then."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.adapters.memory import MemoryBlobs
from core.blobs import BlobStore
from core.errors import ConflictError, NotFoundError
from core.learning.feedback import Entry, Feedback, entries_of, lines
from core.learning.learner import Learner
from core.learning.learner.model import Model
from core.learning.models.model_store import ModelStore, UntrustedError
from core.learning.models.pointer import Pointer
from core.learning.models.seals import SealKeys
from tests.contract.store_parts import (
    KEYS,
    MODEL_LABEL,
    NEW,
    OLD,
    PLACE,
    QUESTION,
    SPOILT,
    TASK,
    at,
    aws,
    blobs,
    model,
    read,
)

__all__ = ["aws", "blobs", "model"]  # fixtures


async def test_a_model_is_read_as_it_was_stored(blobs: BlobStore, model: Model):
    store = ModelStore(lambda: blobs, KEYS)
    await store.save_model("t", TASK, model)
    again = await store.model("t", TASK, 3)
    assert again.kept == model.kept
    assert Learner(again).recommend(QUESTION) == Learner(again).recommend(QUESTION)


async def test_of_two_who_change_a_pointer_the_second_is_told(blobs: BlobStore):
    store = ModelStore(lambda: blobs, KEYS)
    none = await store.pointer("t", TASK)
    assert none is not None
    assert (none.pointer, none.etag) == (Pointer(), None)
    first = await store.publish("t", TASK, at(1), None)
    with pytest.raises(ConflictError):
        await store.publish("t", TASK, at(2), None)
    assert await store.pointer("t", TASK, first) is None
    second = await store.publish("t", TASK, at(2, 2, 1), first)
    with pytest.raises(ConflictError):
        await store.publish("t", TASK, at(3, 3), first)
    found = await store.pointer("t", TASK, first)
    assert found is not None
    assert (found.pointer.version, found.etag) == (2, second)


async def test_a_segment_is_read_as_it_was_stored(blobs: BlobStore):
    store = ModelStore(lambda: blobs, KEYS)
    entries = [Entry(n, Feedback(f"f{n}", {"a": f"\u2028 é\n{n}"}, "x", "ana")) for n in (7, 9)]
    segment = await store.save_segment("t", TASK, lines(entries), generation=0, first=7, last=9)
    assert list(entries_of(await store.segment("t", TASK, segment))) == entries
    await store.delete("t", TASK, [f"segments/{segment.name}"])
    with pytest.raises(NotFoundError):
        await store.segment("t", TASK, segment)


async def test_both_live_keys_open_and_an_old_one_does_not(blobs: BlobStore, model: Model):
    both = SealKeys({"new": NEW, "old": OLD})
    await ModelStore(lambda: blobs, SealKeys({"old": OLD})).save_model("t", TASK, model)
    assert (await ModelStore(lambda: blobs, both).model("t", TASK, 3)).version == 3
    with pytest.raises(UntrustedError, match="key that is not live"):
        await ModelStore(lambda: blobs, KEYS).model("t", TASK, 3)


@pytest.mark.parametrize("kind", SPOILT)
async def test_a_model_that_is_not_ours_is_refused_and_never_run(
    kind: str, model: Model, tmp_path: Path
):
    blobs = MemoryBlobs()
    store = ModelStore(lambda: blobs, KEYS)
    await store.save_model("t", TASK, model)
    spoil, why = SPOILT[kind]
    blobs.put("t", PLACE, spoil(read(blobs), tmp_path / "ran"), "")
    with pytest.raises(UntrustedError, match=why):
        await store.model("t", TASK, 3)
    assert not (tmp_path / "ran").exists()


async def test_a_model_of_another_tenant_or_task_is_refused(blobs: BlobStore, model: Model):
    store = ModelStore(lambda: blobs, KEYS)
    await store.save_model("u", TASK, model)
    blobs.put("t", PLACE, read(blobs, "u"), "")
    blobs.put("u", "learning/other/models/0/3", read(blobs, "u"), "")
    for tenant, task in (("t", TASK), ("u", "other")):
        with pytest.raises(UntrustedError, match="does not fit"):
            await store.model(tenant, task, 3)


async def test_a_model_that_is_stored_under_another_number_is_refused(model: Model):
    blobs = MemoryBlobs()
    store = ModelStore(lambda: blobs, KEYS)
    await store.save_model("t", TASK, replace(model, version=4))
    data = read(blobs, place=f"learning/{TASK}/models/0/4").partition(b"\n")[2]
    blobs.put("t", PLACE, KEYS.seal(MODEL_LABEL, data), "")
    with pytest.raises(UntrustedError, match="says that it is 4"):
        await store.model("t", TASK, 3)

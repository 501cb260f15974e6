"""Models in the object store, in memory and over S3 (moto's server): what is trusted, what is not, what goes on then."""

import os
import pickle
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog
from core.adapters.s3 import S3Blobs
from core.blobs import BlobStore
from core.errors import ConflictError, NotFoundError, UnavailableError
from core.learning import serving
from core.learning.feedback import Entry, Feedback, entries_of, lines
from core.learning.learner import Learner
from core.learning.model import Model
from core.learning.model_store import ModelStore, UntrustedError
from core.learning.pointer import Pointer, Version
from core.learning.seals import Label, SealKeys
from core.learning.serving import Learners
from tests.clients.network import Fate, Hang, Pass, Say, network
from tests.unit.learning.test_learner import taught

BUCKET = "models"
OLD, NEW, THEIRS = "old-" + "1a2b3c4d" * 8, "new-" + "5e6f7a8b" * 8, "theirs-" + "9c0d1e2f" * 8
KEYS = SealKeys({"new": NEW})
TASK = "route"
QUESTION = {"task": "route", "message": "bill invoice money"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(params=["memory", "s3"])
def blobs(request: pytest.FixtureRequest) -> Iterator[BlobStore]:
    if request.param == "memory":
        yield MemoryBlobs()
        return
    request.getfixturevalue("aws")
    endpoint = request.getfixturevalue("s3")
    client: Any = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=BUCKET)
    store = S3Blobs(BUCKET, endpoint)
    yield store
    for tenant in ("t", "u"):
        store.delete_all(tenant, "")


@pytest.fixture(scope="module")
def model() -> Model:
    return taught(60).model(3)


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def recheck(self) -> None:
        self.now += serving.RECHECK_SECONDS


@pytest.fixture
def clock() -> Clock:
    return Clock()


def at(version: int, sequence: int = 1, *others: int) -> Pointer:
    versions = [Version(one, 0, 0, 60, 0) for one in (version, *others)]
    return Pointer(sequence, version, 0, tuple(versions))


async def publish(blobs: BlobStore, model: Model, sequence: int = 1, tenant: str = "t") -> None:
    """Store a model, and a pointer to it in the place of whatever is there."""
    store = ModelStore(lambda: blobs, KEYS)
    await store.save_model(tenant, TASK, model)
    put_pointer(blobs, at(model.version, sequence), tenant=tenant)


def put_pointer(blobs: BlobStore, pointer: Pointer, tenant: str = "t") -> None:
    data = KEYS.seal(Label("pointer", tenant, TASK), pointer.to_bytes())
    blobs.put(tenant, f"learning/{TASK}/pointer", data, "text/plain")


async def answer(learners: Learners, tenant: str = "t") -> tuple[str | None, int, str]:
    """The best action, the version it comes from, and why that is not the newest."""
    async with learners.lock(tenant, TASK):
        served = await learners.current(tenant, TASK)
        found = served.learner.recommend(QUESTION)
        return found.actions[0].action if found.actions else None, found.version, served.degraded


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


PLACE = f"learning/{TASK}/models/0/3"


def read(blobs: BlobStore, tenant: str = "t", place: str = PLACE) -> bytes:
    found = blobs.read(tenant, place, 1 << 30)
    assert found is not None
    return found.data


class _Runs:
    """A pickle of this makes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def bomb(size: int) -> bytes:
    return b"\x80\x05\x96" + size.to_bytes(8, "little")


MODEL_LABEL = Label("model", "t", TASK, "0/3")
SPOILT: dict[str, tuple[Callable[[bytes, Path], bytes], str]] = {
    "truncated": (lambda data, _: data[: len(data) // 2], "does not fit"),
    "tampered": (lambda data, _: data[:-5] + b"\0" * 5, "does not fit"),
    "empty": (lambda _data, _: b"", "no seal"),
    "unsigned": (lambda data, _: data.partition(b"\n")[2], "no seal"),
    "of a key that is not live": (lambda _, _p: SealKeys({"old": OLD}).seal(MODEL_LABEL, b"x"), "not live"),
    "of a key of the same name": (lambda _, _p: SealKeys({"new": THEIRS}).seal(MODEL_LABEL, b"x"), "does not fit"),
    "of another version": (lambda _, _p: KEYS.seal(replace(MODEL_LABEL, name="0/2"), b"x"), "does not fit"),
    "a pointer": (lambda _, _p: KEYS.seal(replace(MODEL_LABEL, kind="pointer"), b"x"), "does not fit"),
    "unsigned os.system": (lambda _, p: pickle.dumps(_Runs(p)), "no seal"),
    "signed os.system": (lambda _, p: KEYS.seal(MODEL_LABEL, pickle.dumps(_Runs(p))), "names what no data needs"),
    "37 GB": (lambda _, _p: KEYS.seal(MODEL_LABEL, bomb(37 * 10**9)), "cut or no pickle"),
    "too large": (lambda _, _p: b"x" * ((256 << 20) + (2 << 20)), "over"),
}  # fmt: skip


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


@pytest.fixture
async def cut_off(s3: str, aws: None, clock: Clock, model: Model) -> AsyncIterator[Any]:
    """Learners of a store whose network can be told what to do."""
    del aws
    client: Any = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket=BUCKET)
    fate: list[Fate] = [Pass()]
    async with network(s3, lambda _: fate[0]) as url:
        blobs = S3Blobs(BUCKET, url, total_seconds=1.0)
        learners = Learners(ModelStore(lambda: blobs, KEYS), MemoryFeedbackLog(), clock)
        await publish(S3Blobs(BUCKET, s3), model)
        yield fate, learners
    S3Blobs(BUCKET, s3).delete_all("t", "")


FATES = {"503": Say(503), "slow": Hang(), "cut": Pass(300), "nonsense": Say(200, body="<html>")}


@pytest.mark.parametrize("kind", FATES)
async def test_a_store_that_is_away_slow_or_ill_degrades_and_no_more(
    kind: str, cut_off: Any, clock: Clock
):
    fate, learners = cut_off
    assert await answer(learners) == ("pay", 3, "")
    fate[0] = FATES[kind]
    clock.recheck()
    began = time.monotonic()
    action, version, degraded = await answer(learners)
    assert (action, version) == ("pay", 3)
    assert bool(degraded) or kind in ("cut", "nonsense")
    assert time.monotonic() - began < 5
    fate[0] = Pass()
    clock.recheck()
    assert await answer(learners) == ("pay", 3, "")


@pytest.mark.parametrize("kind", FATES)
async def test_a_process_that_begins_without_the_store_answers_from_what_redis_has(
    kind: str, cut_off: Any, clock: Clock
):
    fate, learners = cut_off
    fate[0] = FATES[kind]
    action, version, degraded = await answer(learners)
    assert (action, version, bool(degraded)) == (None, 0, True)
    fate[0] = Pass()
    clock.recheck()
    assert await answer(learners) == ("pay", 3, "")


async def test_an_address_where_nothing_listens_is_a_store_that_is_away(aws: None, clock: Clock):
    del aws
    store = ModelStore(lambda: S3Blobs(BUCKET, "http://127.0.0.1:9"), KEYS)
    with pytest.raises(UnavailableError):
        await store.pointer("t", TASK)
    assert (await answer(Learners(store, MemoryFeedbackLog(), clock)))[2]

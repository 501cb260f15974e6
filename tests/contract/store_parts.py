"""Models in an object store, what may be put in their place, and what answers from them."""

import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from core.adapters.memory import MemoryBlobs
from core.adapters.s3 import S3Blobs
from core.blobs import BlobStore
from core.learning import following
from core.learning.learner.model import Model
from core.learning.models.model_store import ModelStore
from core.learning.models.pointer import Pointer, Version
from core.learning.models.seals import Label, SealKeys
from core.learning.serving import Learners
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
        self.now += following.RECHECK_SECONDS


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
    found = await learners.recommend(tenant, TASK, QUESTION)
    return found.actions[0].action if found.actions else None, found.version, found.degraded


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

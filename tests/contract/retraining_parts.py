"""A task that is retrained: its object store, which may be killed at any change, its log, and looks at both."""

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

import functions.retrain
from core.adapters.memory import MemoryBlobs, MemoryFeedbackLog
from core.adapters.scikit_learn import block_learner, indexed
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.feedback import UpstashFeedbackLog
from core.adapters.upstash.http import HttpRedis
from core.crews.clock import NoLimit
from core.learning import changes
from core.learning.feedback import Entry, Feedback, FeedbackLog, entries_of
from core.learning.following import Served
from core.learning.models.model_store import ModelStore
from core.learning.models.pointer import Pointer
from core.learning.models.seals import SealKeys
from core.learning.retraining import Fit, Retrainer
from core.learning.serving import Learners
from tests.fixtures_ports import own_keys
from tests.unit.learning.test_learner import stream

KEYS = SealKeys({"new": "5e6f7a8b" * 8})
TASK = "route"
T = TypeVar("T")


class KilledError(BaseException):
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
    task: str = TASK
    tenant: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")

    @property
    def store(self) -> ModelStore:
        return ModelStore(lambda: self.blobs, KEYS)

    async def say(self, some: Sequence[Feedback]) -> None:
        for start in range(0, len(some), 500):
            await self.log.add(self.tenant, self.task, some[start : start + 500])

    def retrainer(self, fit: Fit = indexed, log: FeedbackLog | None = None) -> Retrainer:
        log = log or self.log
        return Retrainer(self.store, log, fit, lambda: self.seconds, lambda: 17, block_learner)

    async def retrain(self) -> str:
        return await self.retrainer().retrain(self.tenant, TASK)

    async def wake(self, fit: Fit = indexed) -> dict[str, int]:
        """Retrain what a schedule would find to be retrained."""
        return await functions.retrain.retrain(self.log, self.retrainer(fit), NoLimit())

    async def pointer(self) -> Pointer:
        return (await changes.current(self.store, self.log, self.tenant, TASK)).pointer

    async def served(self) -> Served:
        """What a process that begins now would answer from."""
        learners = Learners(self.store, self.log)
        async with learners.lock(self.tenant, TASK):
            return await learners.current(self.tenant, TASK)

    async def ids(self) -> list[str]:
        return [one.feedback.id for one in await self.entries() if one.feedback]

    async def entries(self) -> list[Entry]:
        """All feedback that is kept, in its order: segments first, then Redis."""
        pointer, found = await self.pointer(), list[Entry]()
        for segment in pointer.segments:
            found += entries_of(await self.store.segment(self.tenant, TASK, segment))
        return found + await self.log.after(self.tenant, TASK, pointer.stored, 100_000)

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


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Feedback waits for no more of it, and a lease is over as soon as it is given."""
    monkeypatch.setattr(functions.retrain, "DELAY_MS", 0)
    monkeypatch.setattr(functions.retrain, "LEASE_MS", 0)

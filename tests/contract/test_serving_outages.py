"""What answers from models while the object store is away, slow or ill."""

import time
from collections.abc import AsyncIterator
from typing import Any

import boto3
import pytest

from core.adapters.memory import MemoryFeedbackLog
from core.adapters.s3 import S3Blobs
from core.errors import UnavailableError
from core.learning import following
from core.learning.learner.model import Model
from core.learning.models.model_store import ModelStore
from core.learning.serving import Learners
from tests.clients.network import Fate, Hang, Pass, Say, network
from tests.contract.store_parts import (
    BUCKET,
    KEYS,
    TASK,
    Clock,
    answer,
    aws,
    clock,
    model,
    publish,
)

__all__ = ["aws", "clock", "model"]  # fixtures


@pytest.fixture
async def cut_off(
    s3: str, aws: None, clock: Clock, model: Model, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """Learners of a store whose network can be told what to do."""
    del aws
    client: Any = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket=BUCKET)
    fate: list[Fate] = [Pass()]
    async with network(s3, lambda _: fate[0]) as url:
        blobs = S3Blobs(BUCKET, url)
        learners = Learners(ModelStore(lambda: blobs, KEYS), MemoryFeedbackLog(), clock)
        await publish(S3Blobs(BUCKET, s3), model)
        warm = Learners(ModelStore(lambda: blobs, KEYS), MemoryFeedbackLog(), clock)
        assert await answer(warm) == ("pay", 3, "")
        monkeypatch.setattr("core.blobs.TOTAL_SECONDS", 2.0)
        yield fate, learners
    S3Blobs(BUCKET, s3).delete_all("t", "")


async def test_a_warm_process_waits_for_a_store_that_hangs_no_longer_than_it_must(
    cut_off: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "WARM_SECONDS", 0.1)
    fate, learners = cut_off
    assert await answer(learners) == ("pay", 3, "")
    fate[0] = Hang()
    clock.recheck()
    began = time.monotonic()
    assert await answer(learners) == ("pay", 3, "the object store takes too long")
    assert time.monotonic() - began < 0.9


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

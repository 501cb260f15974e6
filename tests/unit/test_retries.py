"""Trying again: how long, how often, and that nested parts share one deadline."""

import time

import pytest

from core.errors import UnavailableError
from core.retries import RetryPolicy, deadline

QUICK = RetryPolicy(seconds=0.3, attempts=1000, first=0.01, longest=0.02)


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: float, *, lasts_seconds: int = 0) -> None:
        self.failures, self.calls, self.lasts_seconds = failures, 0, lasts_seconds

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise UnavailableError("away", lasts_seconds=self.lasts_seconds)
        return "answer"


async def test_what_fails_a_few_times_is_answered():
    flaky = Flaky(3)
    assert await QUICK.run(flaky) == "answer"
    assert flaky.calls == 4


async def test_without_a_deadline_it_ends_after_its_own_time_or_its_own_number_of_attempts():
    flaky, began = Flaky(float("inf")), time.monotonic()
    with pytest.raises(UnavailableError):
        await QUICK.run(flaky)
    assert 0.2 < time.monotonic() - began < 2
    flaky = Flaky(float("inf"))
    with pytest.raises(UnavailableError):
        await RetryPolicy(attempts=3, first=0.001).run(flaky)
    assert flaky.calls == 3


async def test_the_callers_deadline_counts_alone_longer_or_shorter():
    began = time.monotonic()
    with pytest.raises(UnavailableError), deadline(0.05):
        await QUICK.run(Flaky(float("inf")))
    assert time.monotonic() - began < 0.25
    began = time.monotonic()
    with pytest.raises(UnavailableError), deadline(0.5):
        await RetryPolicy(seconds=0.01, attempts=1, first=0.01, longest=0.02).run(
            Flaky(float("inf"))
        )
    assert time.monotonic() - began > 0.4


async def test_nested_policies_do_not_multiply_their_times():
    began = time.monotonic()
    with pytest.raises(UnavailableError), deadline(0.3):
        await QUICK.run(lambda: QUICK.run(Flaky(float("inf"))))
    assert time.monotonic() - began < 0.6


async def test_an_inner_deadline_cannot_outlast_the_outer_one():
    began = time.monotonic()
    with pytest.raises(UnavailableError), deadline(0.05), deadline(60):
        await QUICK.run(Flaky(float("inf")))
    assert time.monotonic() - began < 1


async def test_a_refusal_that_will_last_is_not_hammered():
    flaky = Flaky(float("inf"), lasts_seconds=60)
    with pytest.raises(UnavailableError) as refused:
        await QUICK.run(flaky)
    assert flaky.calls == 1
    assert refused.value.retry_after_seconds == 60


async def test_a_refusal_that_lasts_a_second_is_waited_out_by_who_has_the_time():
    flaky, began = Flaky(1, lasts_seconds=1), time.monotonic()
    with deadline(5):
        assert await QUICK.run(flaky) == "answer"
    assert time.monotonic() - began >= 1

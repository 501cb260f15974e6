"""For how long a step is put off, and how often; and that whoever looks at its flow is told so."""

from itertools import pairwise

import pytest

from core.adapters.memory import MemoryFlows
from core.crews import deferrals
from core.crews.clock import NoLimit
from core.crews.crew_runner import Session, StepDeferredError, StepFailedError, StepTask
from core.crews.deferrals import MOST_DEFERRALS, MOST_SECONDS, deferral
from core.crews.outcomes import Outcome
from core.errors import UnavailableError
from core.flows import Status
from tests.worker_parts import Scripted, a_crew, a_worker, launched, log_of

BUSY = StepDeferredError("the provider is busy", 2)


def test_a_step_is_put_off_as_asked_a_few_times_and_then_for_minutes():
    delays = [deferral(BUSY, times)[1] / 1000 for times in range(MOST_DEFERRALS)]
    assert delays[:6] == [2, 2, 2, 2, 2, 30]
    assert delays == sorted(delays)
    assert delays[-1] == MOST_SECONDS
    assert sum(delays) > 6 * 3600  # an outage of an afternoon fails nothing


def test_whoever_asks_for_more_gets_more():
    assert deferral(StepDeferredError("r", 3600), 30)[1] == 3_600_000
    away = UnavailableError("the store is away", 1, lasts_seconds=50)
    assert [deferral(away, times)[1] for times in (0, 5, 30)] == [50_000, 50_000, 600_000]
    assert deferral(UnavailableError("the store is away"), 0)[1] == 10_000


@pytest.mark.parametrize("error", [BUSY, UnavailableError("the store is away")])
def test_what_does_not_pass_fails_the_step_in_the_end(error: StepDeferredError | UnavailableError):
    with pytest.raises(StepFailedError, match=f"^{error}; it was put off 50 times before$"):
        deferral(error, 50)


def test_a_limit_of_our_own_passes_by_itself_and_neither_grows_nor_fails():
    assert deferral(StepDeferredError("max_rpm", 61, passes=True), 500) == ("max_rpm", 61_000)


@pytest.mark.parametrize("error", [BUSY, UnavailableError("the store is away")])
async def test_a_flow_whose_step_waits_for_what_never_comes_ends_and_says_why(
    error: Exception, monkeypatch: pytest.MonkeyPatch
):
    def never(_work: StepTask, _session: Session) -> None:
        raise error

    monkeypatch.setattr(deferrals, "MOST_DEFERRALS", 0)
    memory, runner = MemoryFlows(), Scripted(two=never)
    await launched(memory, a_crew(max_attempts=1))
    assert await a_worker(memory, runner).run_flow("t", "f", NoLimit()) is Outcome.ENDED
    state = await memory.state("t", "f")
    assert state.head.status is Status.FAILED
    assert f"{error}; it was put off 0 times before" in str(state.error)


async def test_a_step_that_never_gets_further_leaves_a_log_of_bounded_length(
    monkeypatch: pytest.MonkeyPatch,
):
    def never(_work: StepTask, _session: Session) -> None:
        raise StepDeferredError("the provider is busy", 0.001)

    monkeypatch.setattr(deferrals, "MOST_DEFERRALS", 5)
    memory, runner = MemoryFlows(), Scripted(one=never)
    await launched(memory, a_crew(max_attempts=1))
    worker, lengths = a_worker(memory, runner), list[int]()
    while (outcome := await worker.run_flow("t", "f", NoLimit())) is not Outcome.ENDED:
        if outcome is Outcome.DEFERRED:
            [first, *_] = (await memory.state("t", "f")).steps
            assert first.deferred is not None
            assert first.deferred["reason"] == "the provider is busy"
            lengths.append(len(await log_of(memory)))
    assert (await memory.head("t", "f")).status is Status.FAILED
    each = {after - before for before, after in pairwise(lengths)}
    assert len(lengths) == 5
    assert max(each) < 10  # so the log is as long as MOST_DEFERRALS says, times this
    assert len(await log_of(memory)) - lengths[-1] < 10

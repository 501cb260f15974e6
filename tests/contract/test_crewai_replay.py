"""A step of many calls goes on where it was left: real CrewAI, a provider that speaks OpenAI's protocol, Redis."""

import math
from collections import Counter
from collections.abc import Iterator

import pytest

from core.adapters.crewai.models import model_from
from core.adapters.crewai.runner import CrewAIRunner
from core.adapters.memory import MemoryBlobs
from core.adapters.price_catalogues import CataloguePriceBook
from core.adapters.upstash.http import HttpRedis
from core.crews.outcomes import Outcome
from core.crews.timing import Timing
from core.crews.worker import Worker
from core.flows import Status
from tests.contract.ledger_parts import log_of
from tests.crewai_parts import QUICK
from tests.fixtures_ports import Flows, over_redis, own_keys
from tests.model_server import a_provider
from tests.replay_parts import CALLS, TOOLS, LongLoop, launch
from tests.trial_parts import state_of
from tests.workers import worker_over


@pytest.fixture
def model() -> Iterator[LongLoop]:
    with a_provider() as provider:
        yield LongLoop(provider)


@pytest.fixture
def flows(gateway) -> Flows:
    commands = HttpRedis(gateway.url, gateway.token)
    return over_redis(commands, gateway.url, gateway.token, keys=own_keys())


class TimeForThree:
    """The clock of a host that has time for three more calls of the model."""

    limit_seconds = 60.0

    def __init__(self, model: LongLoop) -> None:
        self._model, self._last = model, model.total + 3

    def seconds_left(self) -> float:
        return 50.0 if self._model.total < self._last else 0.5


def a_worker(flows: Flows, model: LongLoop, looked: Counter[str]) -> Worker:
    def look(_context: object, at: str) -> str:
        """Look at something."""
        looked[at] += 1
        return f"{at} is {looked[at]} years old"

    runner = CrewAIRunner(
        model_from("openai/gpt-4o", model.provider.url, None), {"look": look}, {},
        CataloguePriceBook(), MemoryBlobs(), retries=QUICK,
    )  # fmt: skip
    return worker_over(
        flows.ledger, flows.calls, flows.wake_queue, runner, Timing(30, 10, 20),
        journals=flows.journals,
    )  # fmt: skip


async def test_a_step_runs_to_its_end_in_invocations_that_have_time_for_three_calls_each(
    flows: Flows, model: LongLoop, gateway
):
    looked = Counter[str]()
    await flows.ledger.create(flows.tenant, launch("f1"))
    outcomes = list[Outcome]()
    while not outcomes or outcomes[-1] is Outcome.OUT_OF_TIME:
        worker = a_worker(flows, model, looked)
        outcomes.append(await worker.run_flow(flows.tenant, "f1", TimeForThree(model)))
        assert len(outcomes) < CALLS
    state = await state_of(flows, "f1")
    assert (state.head.status, state.output) == (Status.SUCCEEDED, f"Seen {TOOLS} things.")
    assert model.asked == dict.fromkeys(range(1, CALLS + 1), 1)
    assert looked == {f"thing {number}": 1 for number in range(1, CALLS, 2)}
    assert state.usage.calls == CALLS
    assert len(outcomes) == math.ceil(CALLS / 3)
    assert state.steps[0].attempts == 1
    told = Counter(type_ for _, type_ in await log_of(flows))
    assert told["TOOL_CALL_START"] == told["TOOL_CALL_RESULT"] == CALLS - 1
    assert (
        await HttpRedis(gateway.url, gateway.token).execute(
            ["EXISTS", flows.keys.journal(flows.tenant, "f1")]
        )
        == 0
    )

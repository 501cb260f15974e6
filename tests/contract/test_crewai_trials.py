"""A trial on real CrewAI, models that speak OpenAI's protocol, and Redis behind the gateway."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from core import bootstrap
from core.adapters.crewai.models import UnusableModelError, model_from
from core.adapters.crewai.runner import CrewAIRunner
from core.adapters.memory import MemoryBlobs
from core.adapters.price_catalogues import CataloguePriceBook
from core.adapters.upstash.http import HttpRedis
from core.bootstrap.models import named_model
from core.config import Settings
from core.costs.model_choices import arm_of
from core.costs.trials import Arm, Verdict
from core.crews import strategies
from core.crews.clock import NoLimit
from core.crews.ledger import Launch
from core.crews.timing import Timing
from core.crews.worker import Worker
from core.flows import Flow, Status
from tests.crewai_parts import QUICK, a_crew
from tests.fixtures_ports import Flows, over_redis, own_keys
from tests.model_server import Provider, a_provider
from tests.trial_parts import a_trial, state_of, tallies, the_trial
from tests.workers import worker_over

LARGE, SMALL = "gpt-4o", "gpt-4o-mini"
ANSWER = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
CREW = a_crew(one={"output_schema": ANSWER})
BAD, GOOD = "I would say seven.", '{"n": 7}'


class TwoModels:
    """A provider whose large model answers well; `small` says what the small one answers."""

    def __init__(self, provider: Provider) -> None:
        self.url, self.small = provider.url, BAD
        self.asked = dict.fromkeys((LARGE, SMALL), 0)
        provider.answer = self._answer  # type: ignore[method-assign]

    def _answer(self, request: dict[str, Any], _: str | None) -> tuple[int, dict[str, Any]]:
        model = request["model"]
        self.asked[model] += 1
        message = {"role": "assistant", "content": self.small if model == SMALL else GOOD}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return 200, {
            "id": "c", "object": "chat.completion", "created": 0, "model": model,
            "choices": [choice], "usage": usage,
        }  # fmt: skip


@pytest.fixture
def models() -> Iterator[TwoModels]:
    with a_provider() as provider:
        yield TwoModels(provider)


@pytest.fixture
def flows(gateway) -> Flows:
    commands = HttpRedis(gateway.url, gateway.token)
    return over_redis(commands, gateway.url, gateway.token, keys=own_keys())


@pytest.fixture
def worker(flows: Flows, models: TwoModels) -> Worker:
    runner = CrewAIRunner(
        model_from(f"openai/{LARGE}", models.url, None), {}, {}, CataloguePriceBook(),
        MemoryBlobs(), retries=QUICK,
        named_model=lambda name: model_from(name, models.url, None)(),
    )  # fmt: skip
    return worker_over(flows.ledger, flows.calls, flows.wake_queue, runner, Timing(30, 10, 1))


async def ran(flows: Flows, worker: Worker, flow: str) -> Flow:
    """Launch a flow of the crew and run it to its end."""
    launch = Launch(
        flow=flow, digest="d", incarnation="0" * 8, crew=CREW.name,
        definition=CREW.model_dump(mode="json"), definition_digest=CREW.digest(),
        inputs={"what": "it"}, steps=strategies.initial_steps(CREW), created_ms=0,
    )  # fmt: skip
    await flows.ledger.create(flows.tenant, launch)
    await worker.run_flow(flows.tenant, flow, NoLimit())
    return await state_of(flows, flow)


@pytest.mark.timeout(120)
async def test_a_cheaper_model_that_answers_badly_is_stopped_and_later_flows_have_the_old_one(
    flows: Flows, worker: Worker, models: TwoModels
):
    trial = a_trial(crew=CREW.name, cheaper=f"openai/{SMALL}", model=f"openai/{LARGE}")
    await flows.trials.start(flows.tenant, trial)
    flow = (f"f{number}" for number in itertools.count())
    failed = 0
    while (found := await the_trial(flows)).ended_ms is None:
        name = next(flow)
        state = await ran(flows, worker, name)
        is_small = arm_of(trial.run, name, trial.share) is Arm.CHEAPER
        assert state.head.status is (Status.FAILED if is_small else Status.SUCCEEDED)
        failed += is_small
    assert found.verdict is Verdict.WORSE
    (large, _), small = tallies(found)
    assert small == (failed, 0)
    assert min(large, failed) <= 10  # pairs; how many flows they take is up to chance
    asked = models.asked[SMALL]
    assert asked == 3 * failed  # an answer that does not fit is sent back twice
    for _ in range(4):
        assert (await ran(flows, worker, next(flow))).head.status is Status.SUCCEEDED
    assert models.asked[SMALL] == asked


async def test_a_model_that_was_chosen_does_the_task_and_is_priced_as_itself(
    flows: Flows, worker: Worker, models: TwoModels
):
    models.small = GOOD
    large = await ran(flows, worker, "large")
    await flows.trials.choose(flows.tenant, CREW.name, "one", f"openai/{SMALL}")
    small = await ran(flows, worker, "small")
    assert models.asked == {LARGE: 1, SMALL: 1}
    assert small.head.status is Status.SUCCEEDED
    assert 0 < small.usage.cost_nanodollars < large.usage.cost_nanodollars


async def test_a_model_that_cannot_be_used_fails_its_step_and_counts_as_bad(
    flows: Flows, worker: Worker
):
    trial = a_trial(crew=CREW.name, cheaper="nobody/such", share=0.5)
    await flows.trials.start(flows.tenant, trial)
    name = next(n for n in map(str, range(99)) if arm_of(trial.run, n, 0.5) is Arm.CHEAPER)
    assert (await ran(flows, worker, name)).head.status is Status.FAILED
    assert tallies(await the_trial(flows)) == [(0, 0), (1, 0)]


def test_a_worker_makes_no_model_that_tenants_may_not_choose():
    chosen = Settings("http://nowhere", "none", {}, "none", model="openai/gpt-4o")
    with (
        bootstrap.replace(settings=chosen),
        pytest.raises(UnusableModelError, match="CREWLINE_MODELS"),
    ):
        named_model("ollama/llama3")

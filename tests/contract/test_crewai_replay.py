"""A step of many calls goes on where it was left: real CrewAI, a provider that speaks OpenAI's protocol, Redis."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from core.adapters.crewai.models import model_from
from core.adapters.crewai.rate_limiter import RateLimiter
from core.adapters.crewai.runner import CrewAIRunner
from core.adapters.memory import MemoryBlobs
from core.adapters.price_catalogues import CataloguePriceBook
from core.adapters.upstash.http import HttpRedis
from core.blobs import BlobStore
from core.crews import deferrals
from core.crews.clock import NoLimit
from core.crews.crew_runner import Tool, ToolContext
from core.crews.journal import Journals, NoJournals
from core.crews.ledger import Claim
from core.crews.outcomes import Outcome
from core.crews.timing import Timing
from core.crews.worker import Worker
from core.errors import UnavailableError
from core.flows import Status
from core.flows.values import LargeValues
from tests.contract.ledger_parts import log_of
from tests.crewai_parts import QUICK
from tests.fixtures_ports import Flows, over_redis, own_keys
from tests.model_server import a_provider
from tests.replay_parts import CALLS, TOOLS, LongLoop, launch
from tests.trial_parts import state_of
from tests.workers import worker_over


class BrokenError(Exception):
    """Ends the try of a step."""

    is_fatal = True


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


def a_worker(
    flows: Flows,
    model: LongLoop,
    look: Tool,
    *,
    streams: bool = False,
    blobs: BlobStore | None = None,
    journals: Journals | None = None,
    **runs: Any,
) -> Worker:
    """Return a worker of a process of its own: it has nothing of the one before."""
    llm = model_from("openai/gpt-4o", model.provider.url, None, streams=streams)
    runner = CrewAIRunner(
        llm, {"look": look}, {}, CataloguePriceBook(), MemoryBlobs(), retries=QUICK, **runs
    )
    return worker_over(
        flows.ledger, flows.calls, flows.wake_queue, runner, Timing(30, 10, 20),
        journals=journals or flows.journals, values=LargeValues((lambda: blobs) if blobs else None),
    )  # fmt: skip


def looking(looked: Counter[str], characters: int = 0) -> Tool:
    """Return a tool that counts how often it ran, and says so in a text of so many characters."""

    def look(_context: ToolContext, at: str) -> str:
        """Look at something."""
        looked[at] += 1
        return f"{at} is {looked[at]} years old".ljust(characters, ".")

    return look


async def ran(flows: Flows, model: LongLoop, look: Tool, **worker: Any) -> list[Outcome]:
    """Run a flow to its end, with time for three calls at once; return what came of each time."""
    outcomes = list[Outcome]()
    while not outcomes or outcomes[-1] is not Outcome.ENDED:
        one = a_worker(flows, model, look, **worker)
        outcomes.append(await one.run_flow(flows.tenant, "f1", TimeForThree(model)))
        assert len(outcomes) <= 2 * CALLS
    return outcomes


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
async def test_a_step_runs_to_its_end_in_invocations_that_have_time_for_three_calls_each(
    flows: Flows, model: LongLoop, gateway, streams: bool
):
    looked = Counter[str]()
    await flows.ledger.create(flows.tenant, launch("f1"))
    outcomes = await ran(flows, model, looking(looked), streams=streams)
    state = await state_of(flows, "f1")
    assert (state.head.status, state.output) == (Status.SUCCEEDED, f"Seen {TOOLS} things.")
    assert model.asked == dict.fromkeys(range(1, CALLS + 1), 1)
    assert looked == {f"thing {number}": 1 for number in range(1, CALLS, 2)}
    assert state.usage.calls == CALLS
    assert len(outcomes) == math.ceil(CALLS / 3)
    assert state.steps[0].attempts == 1
    told = Counter(kind for _, kind in await log_of(flows))
    assert told["TOOL_CALL_START"] == told["TOOL_CALL_RESULT"] == CALLS - 1
    journal = flows.keys.journal(flows.tenant, "f1")
    assert await HttpRedis(gateway.url, gateway.token).execute(["EXISTS", journal]) == 0


async def test_what_a_tool_says_at_length_is_kept_in_the_object_store(
    flows: Flows, model: LongLoop
):
    looked, blobs = Counter[str](), MemoryBlobs()
    await flows.ledger.create(flows.tenant, launch("f1"))
    await ran(flows, model, looking(looked, 40_000), blobs=blobs)
    assert set(looked.values()) == set(model.asked.values()) == {1}
    told = [message["content"] for message in model.last["messages"] if message["role"] == "tool"]
    assert {len(text) for text in told[::2]} == {40_000}


async def test_a_limit_of_calls_in_a_minute_puts_a_step_off_and_costs_no_call(
    flows: Flows, model: LongLoop
):
    looked = Counter[str]()
    await flows.ledger.create(flows.tenant, launch("f1", max_rpm=4))
    one = a_worker(flows, model, looking(looked), rate_limiter=RateLimiter(2.5))
    outcomes = list[Outcome]()
    while not outcomes or outcomes[-1] is not Outcome.ENDED:
        outcomes.append(await one.run_flow(flows.tenant, "f1", NoLimit()))
        await asyncio.sleep(0.3)
    assert Outcome.DEFERRED in outcomes
    assert set(looked.values()) == set(model.asked.values()) == {1}


async def test_a_try_that_failed_is_forgotten_and_the_next_one_asks_anew(
    flows: Flows, model: LongLoop
):
    broken = iter([True])

    def look(_context: ToolContext, at: str) -> str:
        """Look at something."""
        if at == "thing 5" and next(broken, False):
            raise BrokenError
        return at

    await flows.ledger.create(flows.tenant, launch("f1", retries=1))
    await ran(flows, model, look)
    assert (await state_of(flows, "f1")).head.status is Status.SUCCEEDED
    assert model.asked == {number: 2 if number <= 5 else 1 for number in range(1, CALLS + 1)}


async def test_a_call_of_a_tool_has_one_idempotency_key_however_often_its_step_is_begun(
    flows: Flows, model: LongLoop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(deferrals, "AWAY_SECONDS", 0.1)
    contexts = list[tuple[str, str, int, str]]()

    def look(context: ToolContext, at: str) -> str:
        """Look at something."""
        if at == "thing 1":
            contexts.append((context.flow, context.step, context.attempt, context.idempotency_key))
        if len(contexts) == 1:
            raise UnavailableError("the shop is closed", 1)
        return at

    await flows.ledger.create(flows.tenant, launch("f1"))
    worker = a_worker(flows, model, look)
    assert await worker.run_flow(flows.tenant, "f1", NoLimit()) is Outcome.DEFERRED
    state = await flows.ledger.state(flows.tenant, "f1", fresh=True)
    assert state.steps[0].deferred is not None
    while await worker.run_flow(flows.tenant, "f1", NoLimit()) is not Outcome.ENDED:  # noqa: ASYNC110 -- until its time has come
        await asyncio.sleep(0.1)
    first, second = contexts
    assert first == second
    assert first[:3] == ("f1", "one", 1)
    assert model.asked[1] == 1


class Noting(NoJournals):
    """Keeps nothing but the keys that it was given."""

    def __init__(self) -> None:
        self.keys = list[str]()

    async def keep(self, claim: Claim, entries: Mapping[str, str]) -> None:
        del claim
        self.keys += entries


async def test_a_step_of_one_call_keeps_no_journal(flows: Flows, model: LongLoop):
    model.first, journals = CALLS, Noting()
    await flows.ledger.create(flows.tenant, launch("f1"))
    worker = a_worker(flows, model, looking(Counter()), journals=journals)
    assert await worker.run_flow(flows.tenant, "f1", NoLimit()) is Outcome.ENDED
    assert (model.total, journals.keys) == (1, [])

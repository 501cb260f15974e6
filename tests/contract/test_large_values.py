"""Results and outputs that are too large for Redis, over every ledger and through the API."""

import json
from typing import Any

import httpx
import pytest

from core import bootstrap
from core.adapters.memory import MemoryBlobs
from core.blobs import BlobRef, flow_prefix
from core.crews import strategies
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.launch import time_limit_ms
from core.crews.outcomes import Outcome
from core.crews.timing import Timing
from core.crews.worker import Worker
from core.errors import UnavailableError
from core.flows import Flow, Status
from core.flows.values import LargeValues, LostValueError
from functions import crew_amp, flow_status
from tests.e2e.apps import App, opened
from tests.fixtures_ports import Flows, a_launch, in_memory, viewed
from tests.worker_parts import a_crew
from tests.workers import worker_over

CJK = "\u4e2d\u6587\u5b57" * 160_000  # 1.44 MB of text
TIMING = Timing(lease_seconds=3, beat_seconds=1, step_seconds=1)


class Writes(CrewRunner):
    """A runner whose steps return a text; keeps what each was told."""

    def __init__(self, text: str) -> None:
        self.text, self.told = text, dict[str, list[str]]()

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        del session
        self.told[work.prompt.step] = [item.text for item in work.prompt.context]
        return {"output": self.text, "raw": self.text}


class Away(MemoryBlobs):
    """An object store that is away for the first so many puts."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def put(self, tenant: str, blob: str, data: bytes, content_type: str) -> None:
        self.times -= 1
        if self.times >= 0:
            raise UnavailableError("the object store does not answer")
        super().put(tenant, blob, data, content_type)


async def launched(flows: Flows, **tasks: Any) -> None:
    crew = a_crew(tasks)
    launch = a_launch(
        crew=crew.name, definition=crew.model_dump(mode="json"), definition_digest=crew.digest(),
        steps=strategies.initial_steps(crew), inputs={}, time_limit_ms=time_limit_ms(crew),
    )  # fmt: skip
    await flows.ledger.create(flows.tenant, launch)


def a_worker(flows: Flows, runner: Writes, blobs: MemoryBlobs) -> Worker:
    """A worker that remembers nothing of what others read."""
    values = LargeValues(lambda: blobs, patience_seconds=0.1)
    return worker_over(flows.ledger, flows.calls, flows.wake_queue, runner, TIMING, values=values)


async def state_of(flows: Flows) -> Flow:
    return await flows.ledger.state(flows.tenant, "f1", fresh=True)


async def test_a_large_result_is_a_reference_in_state_and_log_and_whole_for_who_needs_it(
    flows: Flows,
):
    await launched(flows)
    blobs, runner = MemoryBlobs(), Writes(CJK)
    worker = a_worker(flows, runner, blobs)
    assert await worker.run_flow(flows.tenant, "f1", NoLimit()) is Outcome.ENDED
    state = await state_of(flows)
    ref = {"bytes": len(CJK.encode()) + 2, "url": "/v1/flows/f1/output"}
    assert (state.head.status, state.public()["output"]) == (Status.SUCCEEDED, None)
    assert state.public()["output_ref"] == ref
    assert await viewed(flows) == state.public()
    log = await flows.log.entries(flows.tenant, "f1", 0, 1000)
    assert json.loads(log[-1].json)["result"] == {"output_ref": ref}
    assert max(len(entry.json) for entry in log) < 32 * 1024
    assert runner.told["three"] == [CJK, CJK]
    whole = await LargeValues(lambda: blobs).whole(flows.tenant, state)
    assert (whole.output, whole.results["one"]["raw"]) == (CJK, CJK)


async def test_another_worker_goes_on_with_what_one_that_is_gone_has_stored(flows: Flows):
    await launched(flows, one={"human_input": True})
    blobs = MemoryBlobs()
    first = a_worker(flows, Writes(CJK), blobs)
    assert await first.run_flow(flows.tenant, "f1", NoLimit()) is Outcome.WAITS
    state = await state_of(flows)
    waiting = state.waiting or {}
    assert (waiting["output"], waiting["output_ref"]["url"]) == (
        None, "/v1/flows/f1/output?review=one.review.1",
    )  # fmt: skip
    assert await viewed(flows) == state.public()
    await FlowControl(flows.ledger, flows.wake_queue).resume(tenant=flows.tenant, flow="f1", approve=True, feedback="",
        review="one.review.1",
    )  # fmt: skip
    runner = Writes("small")
    await a_worker(flows, runner, blobs).run_flow(flows.tenant, "f1", NoLimit())
    assert runner.told == {"two": [CJK], "three": [CJK, "small"]}
    state = await state_of(flows)
    assert (state.output, "output_ref" in state.public()) == ("small", False)


async def test_what_is_small_never_meets_the_object_store(flows: Flows):
    await launched(flows)
    worker = a_worker(flows, Writes("small"), Away(10**9))
    assert await worker.run_flow(flows.tenant, "f1", NoLimit()) is Outcome.ENDED
    assert (await state_of(flows)).output == "small"


async def test_a_store_that_is_away_puts_the_step_off_and_costs_no_attempt(flows: Flows):
    await launched(flows)
    worker = a_worker(flows, Writes(CJK), Away(10**9))
    assert await worker.run_flow(flows.tenant, "f1", NoLimit()) is Outcome.DEFERRED
    step = (await state_of(flows)).steps[0]
    assert (step.state, step.attempts) == ("pending", 0)


async def test_a_short_outage_of_the_store_costs_no_answer(flows: Flows):
    await launched(flows)
    runner = Writes(CJK)
    assert (
        await a_worker(flows, runner, Away(1)).run_flow(flows.tenant, "f1", NoLimit())
        is Outcome.ENDED
    )


async def test_a_worker_lost_between_blob_and_commit_leaves_nothing_wrong(flows: Flows):
    await launched(flows)
    blobs = MemoryBlobs()
    state = await state_of(flows)
    claim = await flows.ledger.claim(
        flows.tenant, "f1", state.steps[0], owner="dead", lease_ms=1, events=[]
    )
    assert claim is not None
    blob = f"{flow_prefix('f1')}{state.head.incarnation}/results/one/1"
    dead = await LargeValues(lambda: blobs).keep(flows.tenant, blob, {"output": CJK, "raw": "x"})
    assert dead == BlobRef(blob, blobs.size(flows.tenant, blob))
    await a_worker(flows, Writes(CJK + "!"), blobs).run_flow(flows.tenant, "f1", NoLimit())
    state = await state_of(flows)
    whole = await LargeValues(lambda: blobs).whole(flows.tenant, state)
    assert (whole.output, whole.results["one"]["output"]) == (CJK + "!", CJK + "!")
    await FlowControl(flows.ledger, flows.wake_queue).delete(blobs, tenant=flows.tenant, flow="f1")
    assert blobs._blobs == {}


async def test_a_result_that_is_gone_from_the_store_is_told_so(flows: Flows):
    await launched(flows)
    blobs = MemoryBlobs()
    await a_worker(flows, Writes(CJK), blobs).run_flow(flows.tenant, "f1", NoLimit())
    blobs.delete_all(flows.tenant, flow_prefix("f1"))
    with pytest.raises(LostValueError):
        await LargeValues(lambda: blobs).whole(flows.tenant, await state_of(flows))


@pytest.fixture
def app(tmp_path):
    with opened(tmp_path) as made, bootstrap.replace(values=LargeValues(lambda: made.blobs)):
        yield made


async def asked(app: App, path: str, **who: Any) -> httpx.Response:
    async with app.client(flow_status, tenant="t1", **who) as client:
        return await client.get(path)


async def finished(app: App, text: str) -> None:
    flows = in_memory(app.flows, "t1")
    await launched(flows)
    await a_worker(flows, Writes(text), app.blobs).run_flow("t1", "f1", NoLimit())


@pytest.mark.parametrize("text", ["small", CJK])
async def test_the_output_is_read_whole_at_its_address_and_by_amp(app: App, text: str):
    await finished(app, text)
    answer = await asked(app, "/v1/flows/f1/output")
    assert (answer.json(), answer.headers["content-type"]) == (text, "application/json")
    async with app.client(crew_amp, tenant="t1") as client:
        assert (await client.get("/amp/c/status/f1")).json()["result"] == text


async def test_an_output_that_is_lost_is_404(app: App):
    await finished(app, CJK)
    app.blobs.delete_all("t1", flow_prefix("f1"))
    assert (await asked(app, "/v1/flows/f1/output")).status_code == 404
    async with app.client(crew_amp, tenant="t1") as client:
        assert (await client.get("/amp/c/status/f1")).status_code == 404


async def test_a_flow_that_has_not_succeeded_has_no_output_to_read(app: App):
    await app.flows.create("t1", a_launch())
    answer = await asked(app, "/v1/flows/f1/output")
    assert answer.status_code == 404
    answer = await asked(app, "/v1/flows/f1/output?review=..%2Fx.review.1")
    assert answer.status_code == 404

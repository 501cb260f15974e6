"""What each function does with buckets and the queue, all of it: a story for each.

They are told with the permissions of the function's role (`tests.aws_permissions`) over moto's server; the rest of
what a function has lies in memory.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from core import bootstrap
from core.adapters.http_webhooks import HttpWebhookSender
from core.adapters.memory import MemoryCallLedger, MemoryOutbox, MemoryUsageBook
from core.blobs import BlobRef, in_thread
from core.crews.clock import NoLimit
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.timing import Timing
from core.errors import NotFoundError
from core.flows import Status, events
from core.flows.values import LargeValues
from core.learning.advice import Question
from core.learning.feedback import Feedback
from core.learning.models.model_store import ModelStore
from core.learning.models.seals import SealKeys
from core.webhooks.targets import Targets
from functions import (
    cost_report,
    crew_agui,
    crew_amp,
    crew_launch,
    crew_worker,
    feedback,
    flow_events,
    flow_status,
    retrain,
    sweep,
)
from tests.e2e.agui_parts import asked
from tests.e2e.apps import KEYS, begin
from tests.e2e.test_budgets import MONTHLY
from tests.fixtures_ports import a_launch, in_memory
from tests.hosts.aws_world import World
from tests.large_values import TEXT
from tests.unit.learning.test_learner import stream
from tests.webhook_parts import SECRET, Story, receiving
from tests.worker_parts import Scripted, a_crew, launched
from tests.workers import worker_over

CSV = b"a,b\n1,2\n"


Tell = Callable[[World], Awaitable[None]]


async def reads_outputs_and_drafts(world: World) -> None:
    await world.ended()
    async with world.app.client(flow_status) as client:
        assert (await client.get("/v1/flows/f1/output")).json() == TEXT
        draft = await client.get("/v1/flows/f1/output?review=one.review.1")
    assert draft.status_code == 404


async def reads_no_object(world: World) -> None:
    await world.ended()
    async with world.app.client(flow_events) as client:
        page = await client.get("/v1/flows/f1/events?after=0")
    assert page.json()["events"][-1]["type"] == "RUN_FINISHED"


async def stores_and_removes_inputs_and_flows(world: World) -> None:
    await world.ended()
    async with world.app.client(crew_launch) as client:
        made = (await client.post("/v1/inputs", content=CSV)).json()["id"]
        signed = (await client.post(f"/v1/inputs?size={len(CSV)}")).json()["upload"]
        async with httpx.AsyncClient() as outside:
            put = await outside.request(signed.get("method", "PUT"), signed["url"], content=CSV)
        assert put.is_success
        launch = {"crew": "reads", "inputs": {"file": made}}
        assert (await client.post("/v1/flows", json=launch)).status_code == 202
        assert (await client.delete(f"/v1/inputs/{made}")).status_code == 204
        assert (await client.post("/v1/flows", json=launch)).status_code == 422
        assert (await client.delete(f"/v1/inputs/{made}")).status_code == 404
        assert (await client.delete("/v1/flows/f1")).status_code == 204


async def kicks_off_and_tells_whole_results(world: World) -> None:
    await world.ended()
    async with world.app.client(crew_amp) as client:
        missing = {"inputs": {"file": f"in_{'0' * 32}"}}
        assert (await client.post("/amp/reads/kickoff", json=missing)).status_code == 422
        assert (await client.get("/amp/c/status/f1")).status_code == 200
        kicked = await client.post("/amp/haiku/kickoff", json={"inputs": {"topic": "rain"}})
    assert kicked.status_code == 200


async def runs_on_an_input(world: World) -> None:
    world.files.put("acme", f"in_{'1' * 32}", CSV, "text/csv")
    async with world.app.client(crew_agui) as client:
        for file, status in (("0", 422), ("1", 200)):
            body = asked(f"r{file}", forwardedProps={"inputs": {"file": f"in_{file * 32}"}})
            answer = await client.post("/v1/agui/reads", json=body)
            assert answer.status_code == status, answer.text


async def wakes_what_waited_for_money(world: World) -> None:
    async with world.app.client(cost_report) as client:
        assert (await client.put("/v1/budgets/team", json=MONTHLY)).is_success
        await begin(world.app.flows)
        waiting = {"reason": "budget", "budget": "team", "until_ms": None}
        await world.app.flows.transition(
            "acme", "f1", Status.WAITING, status_epoch=0, events=[], waiting=waiting
        )
        raised = MONTHLY | {"limit_usd": "20"}
        assert (await client.put("/v1/budgets/team", json=raised)).is_success


def said(many: int = 45, seed: int = 0) -> list[dict[str, Any]]:
    return [
        {"id": f"{seed}-{n}", "task": "route", "context": context, "action": action}
        for n, (context, action) in enumerate(stream(many, seed))
    ]


async def answers_from_models_and_forgets_them(world: World) -> None:
    await world.ended()
    await world.ended("f2")
    world.files.delete("acme", "flows/f2/output")
    async with world.app.client(feedback) as client:
        for flow, status in (("f1", 202), ("f2", 404)):
            thumb = {"flow": flow, "thumb": "up"}
            assert (await client.post("/v1/feedback", json=thumb)).status_code == status
        assert (await client.post("/v1/feedback", json={"feedback": said()})).status_code == 202
        await retrained(world)
        question = {"task": "route", "context": {"message": "bill invoice money"}}
        found = (await client.post("/v1/recommendations", json=question)).json()
        assert found["degraded"] is None
        back = await client.put("/v1/learning/route", json={"version": found["model"]["version"]})
        assert back.is_success
        assert (await client.delete("/v1/feedback?task=route")).status_code == 204


def as_feedback(given: dict[str, Any]) -> Feedback:
    return Feedback(given["id"], given["context"], given["action"], "ann")


async def retrained(world: World) -> None:
    """Retrain as the function of that name does, with its own permissions."""
    with bootstrap.replace(model_store=ModelStore(lambda: world.models, SealKeys(KEYS))):
        log = bootstrap.feedback_log()
        done = await retrain.retrain(log, bootstrap.retrainer(NoLimit()), NoLimit())
    assert done.keys() == {"published"}


async def makes_models_of_feedback(_: World) -> None:
    log = bootstrap.feedback_log()
    for seed in range(2):
        await log.add("acme", "route", [as_feedback(each) for each in said(seed=seed)])
        assert await retrain.retrain_for(NoLimit()) == {"published": 1}


async def wakes_what_is_due_and_tells_webhooks(world: World) -> None:
    await world.app.flows.create("acme", a_launch("f2"))
    async with receiving() as receiver:
        hosts = {"acme": (receiver.url,)}
        flows = in_memory(world.app.flows, "acme")
        settings = replace(bootstrap.settings(), webhook_hosts=hosts, webhook_secrets=(SECRET,))
        data = json.dumps(TEXT).encode()
        with bootstrap.replace(
            settings=settings, webhook_targets=Targets(hosts), webhook_sender=HttpWebhookSender(),
            outbox=MemoryOutbox(world.app.flows),
        ):  # fmt: skip
            for flow, is_there in (("f3", True), ("f4", False)):
                story = await Story(flows, flow).launched(None, crew=f"{receiver.url}/{flow}")
                if is_there:
                    world.files.put("acme", f"flows/{flow}/output", data, "application/json")
                ref = BlobRef(f"flows/{flow}/output", len(data))
                await story._move(Status.SUCCEEDED, events.run_finished(flow, 1), output=ref)
            done = await sweep.sweep_and_deliver(NoLimit())
    assert done["woken"] >= 1
    assert done["told"] >= 1


@dataclass
class Running:
    """The clock of an invocation whose time is over when a test says so."""

    limit_seconds: float = 100.0
    left: float = 100.0

    def seconds_left(self) -> float:
        return self.left


async def runs_steps_and_hands_them_over(world: World) -> None:
    world.files.put("acme", f"in_{'1' * 32}", CSV, "text/csv")
    await launched(world.app.flows, a_crew(), tenant="acme")
    clock = Running()

    async def one(*_: Any) -> dict[str, Any]:
        """Read files as tools do, one of which is not there."""
        with await in_thread(bootstrap.blobs().open, "acme", f"in_{'1' * 32}") as file:
            assert file.read() == CSV
        with pytest.raises(NotFoundError):
            await in_thread(bootstrap.blobs().open, "acme", f"in_{'0' * 32}")
        clock.left = 0.5
        return {}

    await invoked(world, Scripted(one=one), clock)
    await invoked(world, Scripted(), Running())
    assert (await world.app.flows.state("acme", "f")).head.status is Status.SUCCEEDED
    await bootstrap.feedback_log().add("acme", "route", [as_feedback(each) for each in said()])
    await retrained(world)
    learners = bootstrap.learners()  # whom deciders ask
    for task in ("route", "unknown"):
        await learners.advise("acme", task, [Question({"message": "bill"}, ("pay", "other"))])


async def invoked(world: World, runner: Scripted, clock: Running) -> None:
    """Hand the worker a message, in a process that remembers nothing of an earlier one."""
    blobs, flows, timing = bootstrap.blobs(), world.app.flows, Timing(30, 10, 1)
    worker = worker_over(
        flows, MemoryCallLedger(flows), bootstrap.wake_queue(), Large(runner), timing,
        values=LargeValues(lambda: blobs), usage_book=MemoryUsageBook(flows),
    )  # fmt: skip
    record = {"messageId": "m", "body": json.dumps({"tenant": "acme", "flow": "f"})}
    with bootstrap.replace(worker=worker):
        assert await crew_worker._run_batch([record], clock) == []


@dataclass
class Large(CrewRunner):
    """A runner whose steps all come to large texts."""

    runner: Scripted

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        return await self.runner.run(work, session) | {"output": TEXT, "raw": TEXT}


STORIES: dict[str, Tell] = {
    "cost_report": wakes_what_waited_for_money,
    "crew_agui": runs_on_an_input,
    "crew_amp": kicks_off_and_tells_whole_results,
    "crew_launch": stores_and_removes_inputs_and_flows,
    "crew_worker": runs_steps_and_hands_them_over,
    "feedback": answers_from_models_and_forgets_them,
    "flow_events": reads_no_object,
    "flow_status": reads_outputs_and_drafts,
    "retrain": makes_models_of_feedback,
    "sweep": wakes_what_is_due_and_tells_webhooks,
}

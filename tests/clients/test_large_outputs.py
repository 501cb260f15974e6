"""A flow whose results and output are over 32 kB, over the real store and S3, through all that reads it."""

import asyncio
import json
import secrets
from typing import Any

import boto3
import httpx
import pytest
from httpx_sse import EventSource

from clients.crewline import AsyncCrewline
from core.adapters.s3 import S3Blobs
from core.adapters.upstash.http import HttpRedis
from core.blobs import flow_prefix, in_thread
from core.crews import strategies
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.crew_runner import Session, StepFailedError, StepTask
from core.crews.launch import time_limit_ms
from core.crews.outcomes import Outcome
from core.flows import Status
from core.flows.values import LargeValues
from tests.clients.conftest import AWS, BUCKET, KEYS, Deployment
from tests.fixtures_ports import Flows, a_launch, over_redis, own_keys
from tests.fixtures_servers import Rest
from tests.large_values import JSON_BYTES, TEXT, Writes, a_worker, values_in
from tests.webhook_dispatcher import dispatcher
from tests.webhook_parts import Posted, receiving, until
from tests.worker_parts import a_crew

REF = {"bytes": JSON_BYTES, "url": "/v1/flows/f1/output"}


@pytest.fixture
def values(bucket: str, monkeypatch: pytest.MonkeyPatch) -> LargeValues:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    return values_in(BUCKET, bucket)


async def launched(flows: Flows, tasks: dict[str, Any] | None = None, **more: Any) -> None:
    crew = a_crew(tasks)
    launch = a_launch(
        crew=crew.name, definition=crew.model_dump(mode="json"), definition_digest=crew.digest(),
        steps=strategies.initial_steps(crew), inputs={}, time_limit_ms=time_limit_ms(crew), **more,
    )  # fmt: skip
    await flows.ledger.create(flows.tenant, launch)


async def ran(flows: Flows, values: LargeValues, runner: Any = None, flow: str = "f1") -> Outcome:
    worker = a_worker(flows, runner or Writes(), values)
    return await worker.run_flow(flows.tenant, flow, NoLimit())


def objects(bucket: str, flows: Flows) -> list[str]:
    """Return the names of a tenant's objects."""
    client: Any = boto3.client("s3", endpoint_url=bucket, region_name="us-east-1", **KEYS)
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{flows.tenant}/").get("Contents", [])
    return [each["Key"] for each in listed]


async def asked(
    deployment: Deployment, flows: Flows, path: str, method: str = "GET", **more: Any
) -> httpx.Response:
    headers = deployment.api.auth(flows.tenant) | more.pop("headers", {})
    async with httpx.AsyncClient(base_url=deployment.api.url, timeout=20) as client:
        return await client.request(method, path, headers=headers, **more)


async def test_a_large_output_is_whole_for_every_reader_and_goes_with_its_flow(
    deployment: Deployment, bucket: str, flows: Flows, values: LargeValues
):
    await launched(flows)
    assert await ran(flows, values) is Outcome.ENDED
    state = (await asked(deployment, flows, "/v1/flows/f1")).json()
    assert (state["status"], state["output"], state["output_ref"]) == ("succeeded", None, REF)
    for coding in ("identity", "gzip", "zstd"):
        headers = {"accept-encoding": coding}
        answer = await asked(deployment, flows, "/v1/flows/f1/output", headers=headers)
        assert (answer.status_code, answer.json()) == (200, TEXT)
    async with AsyncCrewline(deployment.api.url, token(deployment, flows)) as client:
        assert await client.result("f1") == TEXT
    page = (await asked(deployment, flows, "/v1/flows/f1/events?after=0", headers=AS_JSON)).json()
    assert len(json.dumps(page)) < 32 * 1024
    assert page["events"][-1]["result"] == {"output_ref": REF}
    amp = (await asked(deployment, flows, "/amp/c/status/f1")).json()
    assert (amp["state"], amp["result"], amp["last_step"]["result"]) == ("SUCCESS", TEXT, TEXT)
    assert [task["output"] for task in amp["tasks"]] == [TEXT] * 3
    assert len(objects(bucket, flows)) == 4
    assert all(f"{flows.tenant}/flows/f1/" in name for name in objects(bucket, flows))
    assert (await asked(deployment, flows, "/v1/flows/f1", "DELETE")).status_code == 204
    assert objects(bucket, flows) == []
    assert (await asked(deployment, flows, "/v1/flows/f1/output")).status_code == 404


AS_JSON = {"accept": "application/json"}


def token(deployment: Deployment, flows: Flows) -> str:
    return deployment.api.auth(flows.tenant)["authorization"].removeprefix("Bearer ")


@pytest.mark.usefixtures("bucket")
async def test_no_other_tenant_reads_a_large_output(
    deployment: Deployment, flows: Flows, values: LargeValues
):
    await launched(flows)
    await ran(flows, values)
    for path in ("output", "output?review=one.review.1"):
        async with httpx.AsyncClient(base_url=deployment.api.url) as client:
            headers = deployment.api.auth("rival")
            answer = await client.get(f"/v1/flows/f1/{path}", headers=headers)
        assert answer.status_code == 404


@pytest.mark.usefixtures("bucket")
async def test_a_large_draft_is_read_and_answered_through_amp(
    deployment: Deployment, flows: Flows, values: LargeValues
):
    await launched(flows, {"two": {"human_input": True}})
    assert await ran(flows, values) is Outcome.WAITS
    state = (await asked(deployment, flows, "/v1/flows/f1")).json()
    assert state["waiting"]["output"] is None
    assert (await asked(deployment, flows, state["waiting"]["output_ref"]["url"])).json() == TEXT
    amp = (await asked(deployment, flows, "/amp/c/status/f1")).json()
    assert (amp["status"], amp["output"]) == ("pending_human_input", TEXT)
    said = {"execution_id": "f1", "task_id": "two", "human_feedback": "", "is_approve": True}
    answer = await asked(deployment, flows, "/amp/c/resume", "POST", json=said)
    assert (answer.status_code, answer.json()["status"]) == (200, "resumed")
    answer = await asked(deployment, flows, "/amp/c/resume", "POST", json=said)
    assert answer.status_code == 200  # sent again, it is the same answer
    assert await ran(flows, values) is Outcome.ENDED


async def agui(deployment: Deployment, flows: Flows, run: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a run of the crew that a person approves."""
    asking = {"threadId": "t1", "runId": "r1", "state": {}, "messages": [], "tools": [],
              "context": [], "forwardedProps": {"inputs": {"question": "?", "notes": "n"}}}  # fmt: skip
    answer = await asked(
        deployment, flows, "/v1/agui/research_brief_approved", "POST", json=asking | run
    )
    return [json.loads(event.data) for event in EventSource(answer).iter_sse()]


@pytest.mark.usefixtures("bucket")
async def test_an_agui_run_asks_about_a_large_draft_and_ends_with_where_the_output_is(
    deployment: Deployment, flows: Flows, values: LargeValues
):
    begun = asyncio.create_task(agui(deployment, flows, {}))
    while not (recent := await flows.log.recent(flows.tenant, 1)):  # noqa: ASYNC110 -- of the API's process
        await asyncio.sleep(0.05)
    flow = recent[0].id
    assert await ran(flows, values, flow=flow) is Outcome.WAITS
    (interrupt,) = (await begun)[-1]["outcome"]["interrupts"]
    ref = interrupt["metadata"]["output_ref"]
    assert (await asked(deployment, flows, ref["url"])).json() == TEXT
    entry = {"interruptId": interrupt["id"], "status": "resolved", "payload": {"approve": True}}
    answered = asyncio.create_task(agui(deployment, flows, {"runId": "r2", "resume": [entry]}))
    while (await flows.log.head(flows.tenant, flow)).status is Status.WAITING:  # noqa: ASYNC110 -- likewise
        await asyncio.sleep(0.05)
    assert await ran(flows, values, flow=flow) is Outcome.ENDED
    last = (await answered)[-1]
    assert (last["type"], last["result"]["output_ref"]["bytes"]) == ("RUN_FINISHED", JSON_BYTES)
    assert (await asked(deployment, flows, last["result"]["output_ref"]["url"])).json() == TEXT


class FailsAtThree(Writes):
    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Fail where a person will drive the flow again."""
        if work.prompt.step == "three":
            raise StepFailedError("no answer")
        return await super().run(work, session)


async def test_a_flow_that_is_driven_again_has_large_results_of_its_own(
    bucket: str, flows: Flows, values: LargeValues
):
    await launched(flows)
    await ran(flows, values, FailsAtThree())
    control = FlowControl(flows.ledger, flows.wake_queue)
    again = await control.redrive(
        values_in(BUCKET, bucket),
        tenant=flows.tenant,
        flow="f1",
        new_id=lambda: secrets.token_hex(16),
    )
    await control.delete(
        S3Blobs(BUCKET, bucket), tenant=flows.tenant, flow="f1"
    )  # the old one's are gone before the new one needs them
    runner, elsewhere = Writes(), values_in(BUCKET, bucket)
    assert await ran(flows, elsewhere, runner, again) is Outcome.ENDED
    assert runner.told == {"three": [TEXT, TEXT]}
    state = await flows.ledger.state(flows.tenant, again)
    assert (await elsewhere.whole(flows.tenant, state)).output == TEXT


async def posted(gateway: Rest, bucket: str, count: int, *, lose: bool) -> list[Posted]:
    """Run a flow with webhooks, lose its objects or not, then send; return what was sent.

    What was sent again, since it took longer than it is leased for, is left out.
    """
    commands = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token, keys=own_keys())
    async with receiving() as receiver:
        urls = {kind: f"{receiver.url}/{kind}" for kind in ("step", "task", "crew")}
        await launched(flows, webhooks=urls)
        await ran(flows, values_in(BUCKET, bucket))
        if lose:
            await in_thread(S3Blobs(BUCKET, bucket).delete_all, flows.tenant, flow_prefix("f1"))
        elsewhere = values_in(BUCKET, bucket)
        sending = dispatcher(
            gateway.url, gateway.token, flows.keys.prefix, flows.tenant, receiver.url, elsewhere
        )
        over = asyncio.Event()
        serving = asyncio.create_task(sending.loop(over.is_set).run_forever(over))
        await until(lambda: len({post.id for post in receiver.posts}) >= count, 20)
        over.set()
        await serving
    return list({post.id: post for post in receiver.posts}.values())


@pytest.mark.usefixtures("values")
async def test_webhooks_have_the_whole_text(bucket: str, gateway: Rest):
    posts = await posted(gateway, bucket, 7, lose=False)
    bodies = [(post.kind, post.body) for post in posts]
    assert [body["result"] for kind, body in bodies if kind == "step"] == [TEXT] * 3
    assert [body["output"] for kind, body in bodies if kind == "task"] == [TEXT] * 3
    assert TEXT in (bodies[-1][1].get("result"), bodies[-1][1].get("output"))


@pytest.mark.usefixtures("values")
async def test_of_a_flow_whose_objects_are_lost_the_end_is_still_told(bucket: str, gateway: Rest):
    (post,) = await posted(gateway, bucket, 1, lose=True)
    assert post.kind == "crew"

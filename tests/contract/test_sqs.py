"""Flows that move from invocation to invocation over SQS: moto's server, and a pump like Lambda's."""

import asyncio
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from core import bootstrap
from core.adapters.memory import MemoryFlows
from core.adapters.sqs import SqsWakeQueue
from core.config import WORKER_MARGIN_SECONDS, Settings, SettingsError
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.definition import Definition
from core.crews.timing import Timing
from core.errors import UnavailableError
from core.flows import Status
from functions import crew_worker, sweep
from tests.worker_parts import FITTING, a_worker, launched

STEP_SECONDS = 1.0
ENVIRON = {
    "UPSTASH_REDIS_REST_URL": "https://x.upstash.io",
    "UPSTASH_REDIS_REST_TOKEN": "t",
    "CREWLINE_BUCKET": "b",
    "CREWLINE_JWT_KEYS": f"k:{'s3cr-t0k' * 4}",
    "CREWLINE_STEP_SECONDS": "1",
}
CREW = Definition.model_validate(
    {
        "name": "c",
        "description": "d",
        "process": "sequential",
        "agents": {"a": {"role": "r", "goal": "g", "backstory": "b"}},
        "tasks": {
            name: {"description": "d", "expected_output": "o", "agent": "a"}
            for name in ("one", "two", "three")
        },
    }
)


class Steps(CrewRunner):
    """A runner whose every step takes a moment, and that counts what it began."""

    def __init__(self) -> None:
        self.began: list[str] = []

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        del session
        self.began.append(work.prompt.step)
        await asyncio.sleep(0.3)
        return {"output": work.prompt.step, "raw": work.prompt.step}


@dataclass
class Invocation:
    """A Lambda context whose time runs down."""

    seconds: float
    began: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int((self.seconds - (time.monotonic() - self.began)) * 1000)


@dataclass
class Queue:
    """A queue with a dead-letter queue, and what Lambda does between it and a handler."""

    client: Any
    url: str
    dead_url: str
    endpoint: str

    def pump(self, seconds: float) -> bool:
        """Hand one message to the handler; delete it unless it failed. False if there was none."""
        messages = self.client.receive_message(QueueUrl=self.url).get("Messages", [])
        for message in messages:
            record = {"messageId": message["MessageId"], "body": message["Body"]}
            answer = crew_worker.handler({"Records": [record]}, Invocation(seconds))
            if not answer["batchItemFailures"]:
                self.client.delete_message(
                    QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"]
                )
        return bool(messages)

    def waiting(self, url: str) -> int:
        name = "ApproximateNumberOfMessages"
        told = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return int(told["Attributes"][name])


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- its import takes a second

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        client: Any = boto3.client("sqs", endpoint_url=endpoint)
        name = secrets.token_hex(4)  # moto's queues are those of the whole process
        dead = client.create_queue(QueueName=f"dead-{name}")["QueueUrl"]
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        policy = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 2}
        attributes = {"VisibilityTimeout": "1", "RedrivePolicy": json.dumps(policy)}
        url = client.create_queue(QueueName=f"wake-{name}", Attributes=attributes)["QueueUrl"]
        yield Queue(client, url, dead, endpoint)
    finally:
        server.stop()


@dataclass
class Deployment:
    flows: MemoryFlows
    wake_queue: SqsWakeQueue
    steps: Steps


@pytest.fixture
def deployment(queue: Queue) -> Iterator[Deployment]:
    flows, steps = MemoryFlows(), Steps()
    wake = SqsWakeQueue(queue.url, queue.endpoint)
    worker = a_worker(flows, steps, wake_queue=wake, timing=Timing(3, 1, STEP_SECONDS))
    settings = Settings.from_environ(ENVIRON)
    with bootstrap.replace(
        settings=settings, worker=worker, ledger=flows, wake_queue=wake, store_check=FITTING
    ):
        yield Deployment(flows, wake, steps)


async def test_a_flow_that_takes_longer_than_an_invocation_goes_on_in_the_next(
    queue: Queue, deployment: Deployment
):
    await launched(deployment.flows, CREW)
    await deployment.wake_queue.enqueue("t", "f")
    enough_for_one = WORKER_MARGIN_SECONDS + STEP_SECONDS + 0.2
    invocations = 0
    while await asyncio.to_thread(queue.pump, enough_for_one):
        invocations += 1
    assert (await deployment.flows.state("t", "f")).output == "three"
    assert deployment.steps.began == ["one", "two", "three"]
    assert invocations in (3, 4)  # the end is told with the last step, or just after it
    assert queue.waiting(queue.url) == 0


async def test_messages_that_come_twice_late_or_for_nobody_change_nothing(
    queue: Queue, deployment: Deployment
):
    await launched(deployment.flows, CREW)
    for flow in ("f", "f", "nowhere", "f"):
        await deployment.wake_queue.enqueue("t", flow)
    while await asyncio.to_thread(queue.pump, 60.0):
        pass
    await deployment.wake_queue.enqueue("t", "f")
    head = await deployment.flows.head("t", "f")
    assert await asyncio.to_thread(queue.pump, 60.0)
    assert head.status is Status.SUCCEEDED
    assert deployment.steps.began == ["one", "two", "three"]
    assert await deployment.flows.head("t", "f") == head


async def test_a_launch_that_died_before_its_message_is_found_by_the_sweep(
    queue: Queue, deployment: Deployment
):
    await launched(deployment.flows, CREW)
    assert not await asyncio.to_thread(queue.pump, 60.0)
    assert await asyncio.to_thread(sweep.handler, {}, Invocation(60)) == {"woken": 1, "told": 0}
    assert await asyncio.to_thread(queue.pump, 60.0)
    assert (await deployment.flows.head("t", "f")).status is Status.SUCCEEDED


async def test_in_an_outage_the_message_comes_again_and_in_the_end_is_set_aside(
    queue: Queue, deployment: Deployment
):
    class Away(MemoryFlows):
        async def state(self, tenant: str, flow: str) -> Any:
            raise UnavailableError(f"{tenant}'s {flow} is away")

    worker = a_worker(
        Away(),
        deployment.steps,
        wake_queue=deployment.wake_queue,
        timing=Timing(3, 1, STEP_SECONDS),
    )
    await deployment.wake_queue.enqueue("t", "f")
    with bootstrap.replace(worker=worker):
        assert await asyncio.to_thread(queue.pump, 60.0)
        async with asyncio.timeout(30):
            while not queue.waiting(queue.dead_url):
                await asyncio.sleep(1.1)
                await asyncio.to_thread(queue.pump, 60.0)
    assert queue.waiting(queue.url) == 0
    assert deployment.steps.began == []


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"tenant": 1, "flow": "f"}', "\ud83d"])
async def test_what_is_no_message_of_ours_is_dropped_and_not_retried(
    deployment: Deployment, body: str
):
    record = {"messageId": "m1", "body": body}
    answer = await asyncio.to_thread(crew_worker.handler, {"Records": [record]}, Invocation(60))
    assert answer == {"batchItemFailures": []}
    assert deployment.steps.began == []


async def test_only_what_failed_of_a_batch_is_retried(deployment: Deployment):
    class Half(MemoryFlows):
        async def state(self, tenant: str, flow: str) -> Any:
            if flow == "bad":
                raise UnavailableError("away")
            return await super().state(tenant, flow)

    worker = a_worker(
        Half(),
        deployment.steps,
        wake_queue=deployment.wake_queue,
        timing=Timing(3, 1, STEP_SECONDS),
    )
    records = [
        {"messageId": flow, "body": json.dumps({"tenant": "t", "flow": flow})}
        for flow in ("good", "bad", "fine")
    ]
    with bootstrap.replace(worker=worker):
        answer = await asyncio.to_thread(crew_worker.handler, {"Records": records}, Invocation(60))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}


async def test_an_invocation_that_could_never_run_a_step_says_what_to_change(
    deployment: Deployment,
):
    record = {"messageId": "m1", "body": '{"tenant": "t", "flow": "f"}'}
    too_short = WORKER_MARGIN_SECONDS + STEP_SECONDS - 0.1
    with pytest.raises(SettingsError, match="CREWLINE_STEP_SECONDS"):
        await asyncio.to_thread(crew_worker.handler, {"Records": [record]}, Invocation(too_short))
    assert deployment.steps.began == []


async def test_a_queue_that_does_not_answer_is_unavailable(queue: Queue):
    gone = SqsWakeQueue(queue.url.replace("/wake", "/gone"), queue.endpoint)
    with pytest.raises(UnavailableError):
        await gone.enqueue("t", "f")


def test_a_queue_is_chosen_by_its_address():
    assert Settings.from_environ(ENVIRON).queue_url is None
    chosen = Settings.from_environ(ENVIRON | {"CREWLINE_QUEUE_URL": "https://sqs.example/1/wake"})
    assert chosen.queue_url == "https://sqs.example/1/wake"


async def test_the_flows_of_a_batch_run_side_by_side(deployment: Deployment):
    flows = [f"f{number}" for number in range(10)]
    for flow in flows:
        await launched(deployment.flows, CREW, flow)
    bodies = [json.dumps({"tenant": "t", "flow": flow}) for flow in flows]
    records = [{"messageId": str(at), "body": body} for at, body in enumerate(bodies)]
    began = time.monotonic()
    answer = await asyncio.to_thread(crew_worker.handler, {"Records": records}, Invocation(60))
    took = time.monotonic() - began
    assert answer == {"batchItemFailures": []}
    for flow in flows:
        assert (await deployment.flows.head("t", flow)).status is Status.SUCCEEDED
    print(f"ten flows of 0.9 s each took {took:.1f} s")
    assert took < 4.5

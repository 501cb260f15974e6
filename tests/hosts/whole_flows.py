"""What a flow needs from its launch to its end on a host: a model that can be held, a client, SQS' end of a function.

The model holds the first call of the flow's second step, so that its worker can be killed in the middle of that.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fixtures_api import Api
from tests.hosts.asking import Answer, Host, Sent
from tests.hosts.lambda_functions import Functions
from tests.qstash_stub import CURRENT, NEXT, TOKEN

LAUNCH = {
    "crew": "research_brief",
    "inputs": {"question": "Why tea?", "notes": "Tea wakes one up."},
}
HELD = "Weigh the gathered facts"  # words of the second task
PATIENCE_SECONDS = 60.0
TIMING = {
    "CREWLINE_LEASE_SECONDS": "3",
    "CREWLINE_BEAT_SECONDS": "1",
    "CREWLINE_STEP_SECONDS": "30",
}
VISIBILITY_SECONDS = 4


class Model:
    """Answers everything alike; the first call of the second task not before `over` is set."""

    def __init__(self) -> None:
        self.held, self.over, self.calls = threading.Event(), threading.Event(), 0

    def __call__(self, prompt: str) -> str:
        self.calls += 1
        if HELD in prompt and not self.held.is_set():
            self.held.set()
            self.over.wait(PATIENCE_SECONDS)
        return "Tea wakes one up more gently than coffee."

    def settings(self, url: str) -> dict[str, str]:
        """Return what has a worker call this model at its address."""
        return {"CREWLINE_MODEL": "held", "CREWLINE_MODEL_BASE_URL": url, **TIMING}


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who launches a flow on a host, and looks at it."""

    host: Host
    tenant: str

    def ask(self, function: str, method: str, path: str, body: Any = None) -> Answer:
        headers = Api("").auth(self.tenant)
        data = b"" if body is None else json.dumps(body).encode()
        if data:
            headers["content-type"] = "application/json"
        return self.host.send(Sent(function, method, path, headers, data))

    def launch(self) -> str:
        """Return the id of a new flow."""
        answer = self.ask("crew_launch", "POST", "/v1/flows", LAUNCH)
        assert answer.status == 202, answer
        return json.loads(answer.body)["id"]

    def state(self, flow: str) -> dict[str, Any]:
        return json.loads(self.ask("flow_status", "GET", f"/v1/flows/{flow}").body)

    def ended(self, flow: str, meanwhile: Callable[[], None]) -> dict[str, Any]:
        """Return the state at the end of a flow; call `meanwhile` again and again until then."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (state := self.state(flow))["status"] in {"queued", "running"}:
            assert time.monotonic() < end, state
            meanwhile()
            time.sleep(0.2)
        return state

    def events(self, flow: str) -> list[dict[str, Any]]:
        """Return the whole log, page by page."""
        found, after = list[dict[str, Any]](), "0"
        while True:
            path = f"/v1/flows/{flow}/events?after={after}"
            page = json.loads(self.ask("flow_events", "GET", path).body)
            found += page["events"]
            if not page["more"]:
                return found
            after = page["cursor"]

    def check_what_the_kill_cost(self, flow: str, state: dict[str, Any]) -> None:
        """See that the flow succeeded, and that the killed step was begun twice and no other."""
        assert state["status"] == "succeeded", state
        assert [step["attempt"] for step in state["steps"]] == [1, 2, 1]
        log = self.events(flow)
        assert [event["type"] for event in log].count("RUN_FINISHED") == 1
        assert log[-1]["type"] == "RUN_FINISHED"
        retried = [event for event in log if event.get("name") == "step_retried"]
        assert len(retried) == 1
        assert state["usage"]["lost_calls"] == 1


@dataclass(frozen=True, slots=True)
class SqsTrigger:
    """A queue, and what AWS Lambda does between it and a function: hands messages over, deletes what was done."""

    client: Any
    url: str
    functions: Functions

    def pump(self, worker: str) -> bool:
        """Hand one message to a worker, if there is one; tell whether it was let go."""
        received = self.client.receive_message(QueueUrl=self.url, AttributeNames=["All"])
        for message in received.get("Messages", []):
            invoked = self.functions.begin(worker, {"Records": [record(message)]})
            while not invoked.done.wait(0.05):
                if self.functions.processes[worker].poll() is not None:
                    return False  # it comes again when it is visible again
            assert invoked.error is None, invoked.error
            if json.loads(invoked.body) == {"batchItemFailures": []}:
                self.client.delete_message(
                    QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"]
                )
                return True
        return False


def record(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as a function is handed it."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:wake",
        "awsRegion": "us-east-1",
    }


def over_qstash(address: str, worker_url: str) -> dict[str, str]:
    """Return the settings of functions whose worker QStash wakes."""
    return {
        "CREWLINE_WORKER_URL": worker_url,
        "QSTASH_URL": address,
        "QSTASH_TOKEN": TOKEN,
        "QSTASH_CURRENT_SIGNING_KEY": CURRENT,
        "QSTASH_NEXT_SIGNING_KEY": NEXT,
    }


SCHEDULE = {  # EventBridge's event of a rule that runs by the clock
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-27T08:00:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:123456789012:rule/each-minute"],
    "detail": {},
}

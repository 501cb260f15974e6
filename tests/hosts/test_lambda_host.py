"""The Lambda handlers beside the dev host, over the same Redis: the same question, the same answer."""

import base64
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest

from core import bootstrap
from core.adapters.upstash.http import HttpRedis
from core.flows import Status, events
from functions import crew_launch, flow_events, flow_status
from tests.e2e.apps import LambdaContext, gateway_event
from tests.fixtures_api import SECRET, Api
from tests.fixtures_ports import Flows, a_launch, over_redis

HAPPENS_ANYHOW = {
    "x-request-id",
    "date",
    "server",
    "transfer-encoding",
    "content-length",
    "connection",
}


@pytest.fixture
def environ(gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handlers' own settings; what this process has made of earlier ones is set aside."""
    for name, value in {
        "UPSTASH_REDIS_REST_URL": gateway.url,
        "UPSTASH_REDIS_REST_TOKEN": gateway.token,
        "CREWLINE_JWT_KEYS": f"k1:{SECRET}",
        "CREWLINE_BUCKET": "none",
    }.items():
        monkeypatch.setenv(name, value)
    with bootstrap.replace():
        yield


@pytest.fixture
async def ended(gateway) -> Flows:
    flows = over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)
    await flows.ledger.create(flows.tenant, a_launch())
    await flows.ledger.transition(
        flows.tenant, "f1", Status.SUCCEEDED, status_epoch=0, events=events.run_finished("f1", "ü")
    )
    return flows


def on_lambda(function: ModuleType, *request: Any) -> tuple[int, dict[str, str], str]:
    answer = function.handler(gateway_event(*request), LambdaContext())
    body = answer["body"]
    if answer["isBase64Encoded"]:
        body = base64.b64decode(body).decode()
    return answer["statusCode"], answer["headers"], body


def on_dev_host(api: Api, method: str, url: str, headers: dict[str, str], body: bytes = b""):
    answer = httpx.request(method, api.url + url, headers=headers, content=body, timeout=30)
    return answer.status_code, dict(answer.headers), answer.text


def plain(answer: tuple[int, dict[str, str], str]) -> tuple[int, dict[str, str], str]:
    status, headers, body = answer
    kept = {name: value for name, value in headers.items() if name not in HAPPENS_ANYHOW}
    # How long to wait before a reconnect is drawn anew each time.
    frames = [part for part in body.split("\n\n") if not part.startswith("retry:")]
    return status, kept, "\n\n".join(frames)


@pytest.mark.usefixtures("environ")
@pytest.mark.parametrize(
    ("function", "method", "url", "headers", "body"),
    [
        (flow_status, "GET", "/v1/flows", {}, b""),
        (flow_status, "GET", "/v1/flows/f1", {}, b""),
        (flow_status, "HEAD", "/v1/flows/f1", {}, b""),
        (flow_status, "GET", "/v1/flows/f1", {"if-none-match": "*"}, b""),
        (flow_status, "GET", "/v1/flows/f2", {}, b""),
        (flow_status, "GET", "/v1/flows/f1", {"authorization": "Bearer x.y.z"}, b""),
        (flow_events, "GET", "/v1/flows/f1/events", {}, b""),
        (flow_events, "GET", "/v1/flows/f1/events?after=0", {"prefer": "wait=1"}, b""),
        (flow_events, "GET", "/v1/events?flows=f1", {}, b""),
        (flow_events, "POST", "/v1/flows/f2/ticket", {}, b""),
        (flow_events, "GET", "/v1/flows/f1/events", {"last-event-id": "00000000.1"}, b""),
        (crew_launch, "GET", "/v1/crews", {}, b""),
        (crew_launch, "POST", "/v1/flows", {"content-type": "application/json"}, b'{"crew": NaN}'),
        (crew_launch, "POST", "/v1/flows",
         {"content-type": "application/json", "idempotency-key": "k1"},
         b'{"crew": "research_brief", "inputs": {"question": "q", "notes": "n"}}'),
    ],
)  # fmt: skip
def test_a_handler_answers_as_the_dev_host_does(
    api: Api, ended: Flows, function: ModuleType, method: str, url: str, headers, body: bytes
):
    headers = api.auth(ended.tenant) | {"accept-encoding": "identity"} | headers
    expected = plain(on_dev_host(api, method, url, headers, body))
    answer = plain(on_lambda(function, method, url, headers, body))
    assert answer[:2] == expected[:2]
    if function is flow_events:  # which hands on what is there; the reader comes back for the rest
        assert expected[2].startswith(answer[2])
    else:
        assert answer[2] == expected[2]

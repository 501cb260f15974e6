"""The bundles of the functions that stream, started as AWS Lambda starts them."""

import json
import zipfile
from pathlib import Path

import pytest

from core.adapters.upstash.http import HttpRedis
from infra.bundles.contents import BUNDLES, own_files
from tests.e2e.apps import rest_event
from tests.fixtures_api import SECRET, Api
from tests.fixtures_ports import Flows, over_redis
from tests.fixtures_servers import Rest
from tests.hosts.conftest import Make
from tests.hosts.runtime_api import Invoked, RuntimeApi, running
from tests.live import FIRST_EVENTS, begun

START = "infra/aws/streaming/start"  # what serverless.yml names in AWS_LAMBDA_EXEC_WRAPPER
STREAMING = {"crew_agui", "flow_events"}


@pytest.fixture
def flows(gateway: Rest) -> Flows:
    return over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)


def frames(invoked: Invoked, count: int) -> list[str]:
    """Wait for so many events of a stream that goes on."""
    text, pieces = "", invoked.pieces()
    while text.count("\n\n") < count:
        text += next(pieces).decode()
    return text.split("\n\n")[:count]


def run_of(flows: Flows) -> dict[str, object]:
    run = {
        "threadId": "t1", "runId": "r1", "state": {}, "messages": [], "tools": [], "context": [],
        "forwardedProps": {"inputs": {"question": "q", "notes": "n"}},
    }  # fmt: skip
    headers = Api("").auth(flows.tenant) | {"content-type": "application/json"}
    return rest_event("POST", "/v1/agui/research_brief", headers, json.dumps(run).encode())


@pytest.mark.parametrize("function", sorted(STREAMING))
async def test_a_function_streams_from_its_bundle_alone(
    function: str, make: Make, python: Path, of_the_host: Path,
    gateway: Rest, flows: Flows, tmp_path: Path,
):  # fmt: skip
    folder = make(function).folder
    environ = {
        "UPSTASH_REDIS_REST_URL": gateway.url, "UPSTASH_REDIS_REST_TOKEN": gateway.token,
        "CREWLINE_JWT_KEYS": f"k1:{SECRET}", "CREWLINE_BUCKET": "none", "HOME": str(tmp_path),
        "AWS_DEFAULT_REGION": "eu-central-1", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [str(folder / START), str(python), str(of_the_host / "bootstrap.py")]
    await begun(flows, "f1")
    events = rest_event("GET", "/v1/flows/f1/events", Api("").auth(flows.tenant))
    event, count = (run_of(flows), 1) if function == "crew_agui" else (events, FIRST_EVENTS)
    handler = f"functions.{function}.app"
    with RuntimeApi() as api, running(command, api, environ, handler=handler, root=folder):
        invoked = api.invoke(event)
        found = frames(invoked, count)
        assert not invoked.done.is_set()
        assert all("data: {" in frame for frame in found)
        assert api.init_errors.empty()


def test_what_starts_the_runtime_can_be_executed_from_the_zip(make: Make):
    zipped = make("flow_events").zipped
    assert zipped is not None
    with zipfile.ZipFile(zipped) as archive:
        assert archive.getinfo(START).external_attr >> 16 & 0o777 == 0o755


@pytest.mark.parametrize("function", sorted(BUNDLES))
def test_only_the_functions_that_stream_have_the_runtime(function: str):
    files = {path.as_posix() for path in own_files(BUNDLES[function])}
    assert (START in files) == (function in STREAMING)
    assert {path.partition("/")[0] for path in files} - {"core", "crews", "functions"} <= {"infra"}

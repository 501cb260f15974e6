"""Places to kill workers in: a store of their own, a counting model, three ways of being woken."""

import os
import random
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from core.adapters.qstash import QStashWakeQueue
from core.adapters.s3 import S3Blobs
from core.adapters.sqs import SqsWakeQueue
from core.adapters.upstash.http import HttpRedis
from core.flows.values import LargeValues
from functions import sweep
from infra.local.processes import LocalError, Processes, free_port
from tests.counting_model import CountingModel, counting_model
from tests.fixtures_ports import over_redis
from tests.fixtures_servers import Rest, start_gateway, start_valkey, unavailable
from tests.fleet import BEAT_SECONDS, LEASE_SECONDS, WORKER_FLOWS, Place
from tests.qstash_stub import CURRENT, NEXT, TOKEN, QStashStub, qstash

AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}
APlace = Callable[..., Place]


@pytest.fixture(scope="session")
def store(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Rest:
    """A store without the flows that other tests leave behind: workers look at all of them."""
    try:
        redis = start_valkey(processes, tmp_path_factory.mktemp("faults"), free_port())
        return start_gateway(processes, redis)
    except LocalError as error:
        unavailable(error)


@pytest.fixture(scope="session")
def sqs_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- its import takes a second

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="session")
def one_model() -> Iterator[CountingModel]:
    with counting_model() as model:
        yield model


@pytest.fixture
def model(one_model: CountingModel) -> Iterator[CountingModel]:
    one_model.begin_anew()
    yield one_model
    one_model.begin_anew()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Chance that can be had again: set FAULT_SEED to the seed that a failed test prints."""
    seed = f"{os.environ.get('FAULT_SEED', '1')} {request.node.name}"
    print("seed:", seed)
    return random.Random(seed)


@pytest.fixture
def a_place(
    request: pytest.FixtureRequest,
    model: CountingModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> APlace:
    """Make a place over an empty store; `rest` is the way to the store that its workers take."""
    monkeypatch.setattr(sweep, "BACK_OFF_MS", 1000)
    stubs = qstash()

    def make(
        kind: str = "due-set", *, rest: Rest | None = None, bucket: bool = False, **environ: str
    ) -> Place:
        store: Rest = rest or request.getfixturevalue("store")
        flows = over_redis(HttpRedis(store.url, store.token), store.url, store.token)
        place = Place(kind, flows, model, {}, tmp_path, flows.wake_queue)
        more = {"due-set": dict, "sqs": with_sqs, "qstash": with_qstash}[kind]()
        wake, stub = more.pop("wake", flows.wake_queue), more.pop("stub", None)
        place.wake_queue, place.stub = wake, stub
        place.environ = {**_environ(store), **more, **environ}
        if bucket:
            place.environ = {**place.environ, **with_bucket(place)}
        return place

    def with_bucket(place: Place) -> dict[str, str]:
        for name, value in AWS.items():
            monkeypatch.setenv(name, value)
        endpoint, bucket = request.getfixturevalue("sqs_endpoint"), f"b-{secrets.token_hex(4)}"
        client: Any = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket=bucket)
        place.blobs = blobs = S3Blobs(bucket, endpoint)
        place.values = LargeValues(lambda: blobs)
        return {**AWS, "CREWLINE_BUCKET": bucket, "CREWLINE_S3_ENDPOINT": endpoint}

    def with_sqs() -> dict[str, Any]:
        for name, value in AWS.items():
            monkeypatch.setenv(name, value)
        endpoint = request.getfixturevalue("sqs_endpoint")
        client: Any = boto3.client("sqs", endpoint_url=endpoint)
        queue = client.create_queue(
            QueueName=f"wake-{secrets.token_hex(4)}", Attributes={"VisibilityTimeout": "2"}
        )
        url = queue["QueueUrl"]
        wake = SqsWakeQueue(url, endpoint)
        return {**AWS, "CREWLINE_QUEUE_URL": url, "CREWLINE_QUEUE_ENDPOINT": endpoint, "wake": wake}

    def with_qstash() -> dict[str, Any]:
        stub: QStashStub = stubs.__enter__()
        request.addfinalizer(lambda: stubs.__exit__(None, None, None))
        worker = f"http://127.0.0.1:{free_port()}/v1/worker"
        return {
            "CREWLINE_WORKER_URL": worker,
            "QSTASH_URL": stub.url,
            "QSTASH_TOKEN": TOKEN,
            "QSTASH_CURRENT_SIGNING_KEY": CURRENT,
            "QSTASH_NEXT_SIGNING_KEY": NEXT,
            "wake": QStashWakeQueue(stub.url, TOKEN, worker),
            "stub": stub,
        }

    return make


@pytest.fixture(autouse=True)
async def _an_empty_store(request: pytest.FixtureRequest) -> None:
    if "a_place" in request.fixturenames:
        store = request.getfixturevalue("store")
        await HttpRedis(store.url, store.token).execute(["FLUSHALL"])


def _environ(store: Rest) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "UPSTASH_REDIS_REST_URL": store.url,
        "UPSTASH_REDIS_REST_TOKEN": store.token,
        "CREWLINE_BUCKET": "none",
        "CREWLINE_JWT_KEYS": f"k1:{'s3cr-t0k' * 4}",
        "CREWLINE_LEASE_SECONDS": str(LEASE_SECONDS),
        "CREWLINE_BEAT_SECONDS": str(BEAT_SECONDS),
        "CREWLINE_STEP_SECONDS": "1",
        "CREWLINE_WORKER_FLOWS": str(WORKER_FLOWS),
    }

"""A whole flow on each cloud's own runtime, from launch to end, though its worker is killed in the middle of a step."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.fixtures_servers import Rest
from tests.hosts import vercel_build
from tests.hosts.conftest import Place
from tests.hosts.host_kinds import OnLambda, OverHttp
from tests.hosts.lambda_functions import FROM_SOURCE, started
from tests.hosts.whole_flows import (
    SCHEDULE,
    VISIBILITY_SECONDS,
    Client,
    Model,
    SqsTrigger,
    over_qstash,
)
from tests.model_server import serving
from tests.qstash_stub import qstash

CRON_SECRET = "f3a91c07" * 4


@pytest.mark.timeout(240)
def test_on_lambda_with_sqs_and_a_schedule(place: Place, store: Rest, tmp_path: Path):
    sqs: Any = boto3.client("sqs", endpoint_url=place.s3)  # the server of both
    visible = {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
    url = sqs.create_queue(QueueName=f"wake-{uuid.uuid4().hex}", Attributes=visible)["QueueUrl"]
    model = Model()
    names = ("crew_launch", "flow_status", "flow_events", "sweep", "crew_worker-1", "crew_worker-2")
    with serving(model) as model_url:
        queue = {"CREWLINE_QUEUE_URL": url, "CREWLINE_QUEUE_ENDPOINT": place.s3}
        settings = {**place.settings_over(store), **model.settings(model_url), **queue}
        codes = {name.partition("-")[0]: FROM_SOURCE for name in names}
        with started(names, codes, settings, tmp_path) as functions:
            client = Client(OnLambda(functions.invoke), f"t{uuid.uuid4().hex[:12]}")
            trigger = SqsTrigger(sqs, url, functions)
            for body in ("no message of ours", '{"tenant": "nobody", "flow": "f1"}'):
                sqs.send_message(QueueUrl=url, MessageBody=body)
                assert trigger.pump("crew_worker-1")  # and is let go
            flow = client.launch()
            first = threading.Thread(target=trigger.pump, args=("crew_worker-1",))
            first.start()
            assert model.held.wait(60)
            functions.processes["crew_worker-1"].kill()
            first.join(10)

            def meanwhile() -> None:
                functions.invoke("sweep", SCHEDULE)
                trigger.pump("crew_worker-2")

            client.check_what_the_kill_cost(flow, client.ended(flow, meanwhile))
            model.over.set()


@pytest.mark.soak
@pytest.mark.timeout(vercel_build.INSTALL_SECONDS + vercel_build.BUILD_SECONDS)
def test_on_vercel_with_qstash_and_a_cron(place: Place, store: Rest, built: Path, tmp_path: Path):
    model, names = Model(), ("crew_launch", "flow_status", "flow_events", "sweep")
    with (
        serving(model) as model_url,
        qstash() as stub,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        worker_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/worker"
        settings = vercel_build.with_tools({"PATH": os.environ["PATH"]}) | place.settings_over(
            store
        )
        settings |= model.settings(model_url) | {
            "HOME": str(tmp_path), "CRON_SECRET": CRON_SECRET, **over_qstash(stub.url, worker_url)
        }  # fmt: skip
        with (
            worker(listener, settings, tmp_path / "1.log") as first,
            worker(listener, settings, tmp_path / "2.log") as second,
            vercel_build.running(built, names, tmp_path, settings) as addresses,
        ):
            second.send_signal(signal.SIGSTOP)  # the first takes what comes
            client = Client(
                OverHttp(lambda sent: addresses[sent.function]), f"t{uuid.uuid4().hex[:12]}"
            )
            flow = client.launch()
            assert model.held.wait(60)
            first.kill()
            second.send_signal(signal.SIGCONT)
            bearer = {"authorization": f"Bearer {CRON_SECRET}"}

            def meanwhile() -> None:
                answer = httpx.get(f"{addresses['sweep']}/v1/sweep", headers=bearer, timeout=20)
                assert answer.status_code == 200, answer.text

            client.check_what_the_kill_cost(flow, client.ended(flow, meanwhile))
            model.over.set()


@contextmanager
def worker(
    listener: socket.socket, settings: dict[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the worker's app on a socket that is open already; yield when it takes requests."""
    descriptor = listener.fileno()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "functions.crew_worker:app",
        "--fd",
        str(descriptor),
    ]
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command, env=settings, stdout=out, stderr=out, pass_fds=[descriptor]
        ) as process,
    ):
        try:
            while b"Uvicorn running" not in log.read_bytes():
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield process
        finally:
            process.kill()

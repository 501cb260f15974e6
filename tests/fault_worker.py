"""A worker process that may be killed at a boundary: the real hosts, with the light runner.

Started by tests/fleet.py as a fork of a process that has imported all this, since the tests start
some hundred of them. `serve_due_set` is the worker that stays, `serve_sqs` is what Lambda does
between a queue and the handler, `serve_qstash` is a host that is reached by HTTP.
"""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, cast

import boto3
import uvicorn
from botocore.exceptions import ClientError

from core import bootstrap
from core.adapters.upstash import http, sdk  # noqa: F401 -- imported once, not in each fork
from core.adapters.upstash.call_ledger import UpstashCallLedger  # noqa: F401 -- likewise
from core.config import WORKER_MARGIN_SECONDS
from core.crews import launch
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.definition import Registry
from core.crews.ledger import RunLedger
from core.crews.lessons import Lessons
from core.crews.wakeups import WakeQueue
from functions import crew_worker, sweep
from tests.deciders import Sides, WiredLearners
from tests.light_runner import LightRunner
from tests.tripwires import Tripwire, WiredBlobs, WiredCalls, WiredWakeQueue, wired_ledger

QUEUE_SECONDS = 0.08  # between two looks at an empty queue


@dataclass(frozen=True)
class Order:
    """What a worker process is to be. `clock_ahead` is how wrong its clock goes, in seconds.

    With `puts_off` each step is put off once. `padding` characters make the results large.
    """

    kind: str
    environ: Mapping[str, str]
    model_url: str
    log: Path
    trip: str = ""
    broken: str = ""
    puts_off: bool = False
    padding: int = 0
    clock_ahead: float = 0.0
    invocation_seconds: float = 60.0


def work(order: Order) -> None:
    """Be a worker until somebody ends it."""
    begin(order)
    wire = Tripwire(order.trip)
    runner = LightRunner(
        order.model_url, wire.passed, order.broken, puts_off=order.puts_off, padding=order.padding
    )
    with ExitStack() as stack:
        stack.enter_context(bootstrap.replace(runner=runner))
        if order.padding:  # only then, since making a client takes its time
            stack.enter_context(bootstrap.replace(blobs=WiredBlobs(bootstrap.blobs(), wire)))
        plain = bootstrap.worker()
        ledger = wired_ledger(plain.ledger, wire)
        calls = WiredCalls(plain.steps.call_ledger, wire)
        lessons = Lessons(WiredLearners(bootstrap.feedback_log(), wire), {"sides": Sides()})
        wired = replace(
            plain,
            ledger=ledger,
            wake_queue=WiredWakeQueue(plain.wake_queue, wire),
            steps=replace(plain.steps, ledger=ledger, call_ledger=calls, lessons=lessons),
        )
        stack.enter_context(bootstrap.replace(worker=wired))
        {"due-set": serve_due_set, "sqs": serve_sqs, "qstash": serve_qstash}[order.kind](order)


def launch_one(order: Order, tenant: str, crews: Path, crew: str) -> None:
    """Launch a crew as the function does; with a trip, not to the end."""
    begin(order)
    ledger = wired_ledger(bootstrap.ledger(), Tripwire(order.trip))
    launcher = launch.Launcher(ledger, bootstrap.wake_queue(), Registry(crews), now_ms=lambda: 0)
    asked = launcher.launch(tenant, launch.LaunchRequest(crew, {}), "once")
    asyncio.run(asked)


def sweep_once(order: Order, back_off_ms: int) -> None:
    """Sweep as the schedule does; with a trip, not to the end."""
    begin(order)
    wire = Tripwire(order.trip)
    ledger = wired_ledger(bootstrap.ledger(), wire)
    wake_queue = cast("WakeQueue", WiredWakeQueue(bootstrap.wake_queue(), wire))
    sweep.BACK_OFF_MS = back_off_ms
    asyncio.run(sweep.sweep(ledger, wake_queue, NoLimit()))


def resume_one(order: Order, tenant: str, flow: str) -> None:
    """Approve what a flow waits with; with a trip, not to the end."""
    begin(order)
    ledger = wired_ledger(bootstrap.ledger(), Tripwire(order.trip))
    asyncio.run(_approve(ledger, tenant, flow))


async def _approve(ledger: RunLedger, tenant: str, flow: str) -> None:
    waiting = (await ledger.state(tenant, flow)).waiting
    await FlowControl(ledger, bootstrap.wake_queue()).resume(
        tenant=tenant,
        flow=flow,
        approve=True,
        feedback="",
        review=waiting and waiting["review"],
    )


def begin(order: Order) -> None:
    """Take on what an order says: its environment, its log, its clock; end with the test's process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log = os.open(order.log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.WARNING, force=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the fleet's
    os.environ.clear()
    os.environ.update(order.environ)
    if order.clock_ahead:
        _set_clock(order.clock_ahead)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _set_clock(ahead: float) -> None:
    """Have the wall clock of this process go wrong; the monotonic one goes on as it does."""
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + ahead
    time.time_ns = lambda: nanoseconds() + int(ahead * 1e9)


def serve_due_set(_: Order) -> None:
    asyncio.run(crew_worker.main())


class _Invocation:
    """A Lambda context whose time runs down."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - time.monotonic()) * 1000)


def serve_sqs(order: Order) -> None:
    url = order.environ["CREWLINE_QUEUE_URL"]
    client: Any = boto3.client("sqs", endpoint_url=order.environ["CREWLINE_QUEUE_ENDPOINT"])
    while True:
        messages = client.receive_message(QueueUrl=url).get("Messages", [])
        for message in messages:
            record = {"messageId": message["MessageId"], "body": message["Body"]}
            context = _Invocation(WORKER_MARGIN_SECONDS + order.invocation_seconds)
            answer = crew_worker.handler({"Records": [record]}, context)
            if not answer["batchItemFailures"]:
                with suppress(ClientError):  # it took so long that somebody else has it now
                    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if not messages:
            time.sleep(QUEUE_SECONDS)


def serve_qstash(order: Order) -> None:
    """Listen beside others of this kind: the kernel hands requests to whoever lives."""
    port = int(order.environ["CREWLINE_WORKER_URL"].split(":")[2].split("/")[0])
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(crew_worker.app, lifespan="off", log_level="warning")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))

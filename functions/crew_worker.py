"""Runs the steps of flows that are due: where CrewAI is loaded and models are called.

A worker holds nothing that its death would lose, so it may be killed at any time; what it was in
the middle of is begun again by another one when its lease has run out.

`main` serves where a process may stay, and polls the due set. `handler` is AWS Lambda's entry for a
queue: each message names a flow to look at. A message is let go when its flow was looked at, also
if another worker was busy with it: should that one die, the flow becomes due and the sweep sends
another. Only what could not be looked at comes again, and in the end lies in the dead-letter queue.

`app` is the same for QStash, on a host that is reached by HTTP: POST /v1/worker, signed by it.
"""

import asyncio
import json
import logging
import signal
import time
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core import bootstrap, signed_wake
from core.config import WORKER_MARGIN_SECONDS, SettingsError
from core.crews.run import NoLimit, Worker, due
from core.errors import NotFoundError, UnavailableError
from functions import _app, _body

log = logging.getLogger(__name__)

MESSAGE_BYTES = 4096
AT_ONCE = 4  # flows under way in one process; they wait for models most of the time
IDLE_SECONDS = (0.1, 2.0)  # between looks at the due set: soon after work, later when idle


async def serve(worker: Worker, stopped: Callable[[], bool]) -> None:
    """Run what becomes due, on a host where a process may stay: the due set is the queue."""
    under_way: set[asyncio.Task[None]] = set()
    idle = IDLE_SECONDS[0]
    while not stopped():
        began = await _begin(worker, under_way)
        idle = IDLE_SECONDS[0] if began or under_way else min(idle * 1.5, IDLE_SECONDS[1])
        await asyncio.sleep(idle)


async def _begin(worker: Worker, under_way: set[asyncio.Task[None]]) -> bool:
    """Begin what is due as far as there is room; tell whether there was anything."""
    room = AT_ONCE - len(under_way)
    if room <= 0:
        return False
    began = False
    try:
        async for tenant, flow in due(worker.ledger, room, worker.timing.lease_ms):
            task = asyncio.create_task(_advance(worker, tenant, flow))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            began = True
    except UnavailableError as error:
        log.warning("cannot look for work: %s", error)
    return began


async def _advance(worker: Worker, tenant: str, flow: str) -> None:
    """Advance one flow; whatever goes wrong, it stays due and this worker goes on."""
    try:
        await worker.advance(tenant, flow, NoLimit())
    except Exception:
        log.exception("flow %s of %s was left; it stays due", flow, tenant)


class Remaining:
    """The clock of a Lambda invocation."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def seconds_left(self) -> float:
        """Return the time for steps: Lambda's, without what committing and handing over take."""
        return self._context.get_remaining_time_in_millis() / 1000 - WORKER_MARGIN_SECONDS


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """AWS Lambda's entry for SQS; answers with what of the batch is to come again.

    Raises SettingsError if an invocation is too short for any step: the flow would be handed over
    for ever.
    """
    worker, clock = bootstrap.worker(), Remaining(context)
    if clock.seconds_left() < worker.timing.step_seconds:
        raise SettingsError(
            "CREWLINE_STEP_SECONDS must be less than this function's time-out, with "
            f"{WORKER_MARGIN_SECONDS:.0f} s to spare"
        )
    failed = _runner().run(_looked_at(worker, event["Records"], clock))
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


@cache
def _runner() -> asyncio.Runner:
    """Return what holds the one loop of this process, to which cached clients belong."""
    return asyncio.Runner()


async def _looked_at(worker: Worker, records: list[dict[str, Any]], clock: Remaining) -> list[str]:
    """Advance the flow of each message; return the ids of the messages that failed."""
    failed: list[str] = []
    for record in records:
        named = _named(record["body"])
        if named is None:
            log.warning("message %s names no flow; it is dropped", record["messageId"])
            continue
        try:
            await worker.advance(*named, clock)
        except Exception:
            log.exception("flow %s of %s was left; its message comes again", named[1], named[0])
            failed.append(record["messageId"])
    return failed


def _named(body: str) -> tuple[str, str] | None:
    """Return tenant and flow of a message; None if it is none of ours."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    message = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    tenant, flow = message.get("tenant"), message.get("flow")
    return (tenant, flow) if isinstance(tenant, str) and isinstance(flow, str) else None


class Deadline:
    """The clock of a request that the host answers within so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds - WORKER_MARGIN_SECONDS

    def seconds_left(self) -> float:
        """Return the time for steps."""
        return self._end - time.monotonic()


async def woken(request: Request) -> Response:
    """Look at the flow that a signed message names; 503 has the message come again."""
    chosen = bootstrap.settings()
    if chosen.qstash is None:
        raise NotFoundError("this worker is not woken over QStash")
    body = await _body.read_bytes(request, MESSAGE_BYTES)
    signature = request.headers.get("upstash-signature", "")
    signed_wake.verify(signature, body, chosen.qstash.worker_url, chosen.qstash.signing_keys)
    named = _named(body.decode("utf-8", "replace"))
    if named is None:
        log.warning("a message names no flow; it is dropped")
    else:
        await bootstrap.worker().advance(*named, Deadline(chosen.worker_seconds))
    return Response(status_code=204)


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    worker = bootstrap.worker()
    log.info("worker ready")
    await serve(worker, stopping.is_set)


app = _app.unguarded([Route("/v1/worker", woken, methods=["POST"])])

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(main())

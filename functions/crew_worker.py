"""Runs the steps of flows that are due: where CrewAI is loaded and models are called.

A worker holds nothing that its death would lose, so it may be killed at any time; what it was in
the middle of is begun again by another one when its lease has run out.

`main` serves where a process may stay: the due set is its queue. `handler` is AWS Lambda's entry for a
queue: each message names a flow to look at. A message is let go when its flow was looked at, also
if another worker was busy with it: should that one die, the flow becomes due and the sweep sends
another. Only what could not be looked at comes again, and in the end lies in the dead-letter queue.

`app` is the same for QStash, on a host that is reached by HTTP: POST /v1/worker, signed by it.
"""

import asyncio
import json
import logging
import signal
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core import bootstrap
from core.config import WORKER_MARGIN_SECONDS, SettingsError
from core.crews.run import Worker
from core.errors import NotFoundError
from functions import _app, _body, _loop, _webhooks
from functions._clocks import DeadlineClock, LambdaClock
from functions._worker_loop import serve

log = logging.getLogger(__name__)

MESSAGE_BYTES = 4096


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """AWS Lambda's entry for SQS; answers with what of the batch is to come again.

    Raises SettingsError if an invocation is too short for any step: the flow would be handed over
    for ever.
    """
    worker, clock = bootstrap.worker(), LambdaClock(context)
    if clock.seconds_left() < worker.timing.step_seconds:
        raise SettingsError(
            "CREWLINE_STEP_SECONDS must be less than this function's time-out, with "
            f"{WORKER_MARGIN_SECONDS:.0f} s to spare"
        )
    failed = _loop.run(_run_batch(worker, event["Records"], clock))
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


async def _run_batch(
    worker: Worker, records: list[dict[str, Any]], clock: LambdaClock
) -> list[str]:
    """Run the flow of each message; return the ids of the messages that failed."""
    failed: list[str] = []
    for record in records:
        named = _named(record["body"])
        if named is None:
            log.warning("message %s names no flow; it is dropped", record["messageId"])
            continue
        try:
            await worker.run_flow(*named, clock)
        except Exception:
            log.exception("flow %s of %s was left; its message comes again", named[1], named[0])
            failed.append(record["messageId"])
    await _webhooks.deliver_due(clock)
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


async def run_message(request: Request) -> Response:
    """Look at the flow that a signed message names; 503 has the message come again."""
    chosen, verifier = bootstrap.settings(), bootstrap.wake_verifier()
    if chosen.qstash is None or verifier is None:
        raise NotFoundError("this worker is not woken over QStash")
    body = await _body.read_bytes(request, MESSAGE_BYTES)
    signature = request.headers.get("upstash-signature", "")
    verifier.verify(signature, body, chosen.qstash.worker_url)
    named = _named(body.decode("utf-8", "replace"))
    if named is None:
        log.warning("a message names no flow; it is dropped")
    else:
        clock = DeadlineClock(chosen.worker_seconds)
        await bootstrap.worker().run_flow(*named, clock)
        await _webhooks.deliver_due(clock)
    return Response(status_code=204)


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    worker = bootstrap.worker()
    log.info("worker ready")
    await asyncio.gather(
        serve(worker, bootstrap.wake_listener(), stopping.is_set),
        _webhooks.run_dispatcher(stopping, bootstrap.wake_listener()),
    )


app = _app.unguarded([Route("/v1/worker", run_message, methods=["POST"])])

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    asyncio.run(main())

"""Runs the steps of flows that are due: where CrewAI is loaded and models are called.

A worker holds nothing that its death would lose, so it may be killed at any time; what it was in
the middle of is begun again by another one when its lease has run out. Asked to stop, it lets steps
finish for a while and gives the rest back, which another worker goes on with at once.

`main` serves where a process may stay: the due set is its queue. `handler` is AWS Lambda's entry for a
queue: each message names a flow to look at. A message is let go when its flow was looked at, also
if another worker was busy with it: should that one die, the flow becomes due and the sweep sends
another. What could not be looked at comes again, as does what found no place in its tenant's share of the
process, and in the end lies in the dead-letter queue.

`app` is the same for QStash, on a host that is reached by HTTP: POST /v1/worker, signed by it. What
finds no place in its tenant's share is told to come again.
"""

import asyncio
import logging
import signal
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core import bootstrap, logs
from core.config import WORKER_MARGIN_SECONDS, SettingsError
from core.crews.clock import Clock, StoppableClock
from core.due_loop import NoPlaceError, Places, Room
from core.errors import UnavailableError
from crews.loading import AllowListError
from functions._http import apps
from functions._process import event_loop, request_log
from functions._process.clocks import DeadlineClock, LambdaClock
from functions._worker import cold_start, wakeups, webhook_sending
from functions._worker.worker_loop import serve

if TYPE_CHECKING:  # a cold worker says that it loads before it does
    from core.crews.worker import Worker

log = logging.getLogger("functions.crew_worker")  # also where it is __main__


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """AWS Lambda's entry for SQS; answers with what of the batch is to come again.

    Raises SettingsError if an invocation is too short for any step: the flow would be handed over
    for ever.
    """
    request_log.configure()
    clock = LambdaClock(context)
    if clock.seconds_left() < bootstrap.settings().step_seconds:
        raise SettingsError(
            "CREWLINE_STEP_SECONDS must be less than this function's time-out, with "
            f"{WORKER_MARGIN_SECONDS:.0f} s to spare"
        )
    with logs.context(request_id=request_log.invocation_id(context)):
        failed = event_loop.run(_run_batch(event["Records"], clock))
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


async def _run_batch(records: list[dict[str, Any]], clock: Clock) -> list[str]:
    """Run the flows of all messages side by side; return the ids of those that come again."""
    await bootstrap.store_check().require()
    named = (wakeups.named_flow(record["body"]) for record in records)
    worker = await cold_start.worker([flow for flow in named if flow is not None])
    places = Places(Room.shared(bootstrap.settings().worker_flows))
    ran = await asyncio.gather(*(_run_record(worker, record, clock, places) for record in records))
    await webhook_sending.deliver_due(clock)
    return [record["messageId"] for record, done in zip(records, ran, strict=True) if not done]


async def _run_record(
    worker: "Worker", record: dict[str, Any], clock: Clock, places: Places
) -> bool:
    """Run the flow that a message names; tell whether the message may go."""
    named = wakeups.named_flow(record["body"])
    if named is None:
        log.warning("a message names no flow; it is dropped", extra={"id": record["messageId"]})
        return True
    seconds = clock.seconds_left() - worker.steps.timing.step_seconds  # then no step is begun
    try:
        async with places.place(named[0], seconds):
            await worker.run_flow(*named, clock)
    except NoPlaceError:
        log.info("the flow found no place; its message comes again", extra={"tenant": named[0]})
        return False
    except Exception:
        log.exception("the flow was left; its message comes again")
        return False
    return True


async def run_message(request: Request) -> Response:
    """Look at the flow that a signed message names; 503 has the message come again."""
    settings = bootstrap.settings()
    body = await wakeups.read_signed(request, settings.qstash and settings.qstash.worker_url)
    named = wakeups.named_flow(body.decode("utf-8", "replace"))
    if named is None:
        log.warning("a message names no flow; it is dropped")
    else:
        clock = DeadlineClock(settings.worker_seconds)
        await bootstrap.store_check().require()
        await _run_named(*named, clock)
        await webhook_sending.deliver_due(clock)
    return Response(status_code=204)


async def _run_named(tenant: str, flow: str, clock: Clock) -> None:
    """Run a flow in its tenant's share of this process. Raises UnavailableError if that is taken."""
    worker = await cold_start.worker([(tenant, flow)])
    seconds = clock.seconds_left() - worker.steps.timing.step_seconds
    try:
        async with _places(asyncio.get_running_loop()).place(tenant, seconds):
            await worker.run_flow(tenant, flow, clock)
    except NoPlaceError:
        raise UnavailableError("the tenant's share of this worker is taken", 30) from None


@lru_cache(maxsize=1)
def _places(_: asyncio.AbstractEventLoop) -> Places:
    """Return the places of this process, for all requests that come at the same time."""
    return Places(Room.shared(bootstrap.settings().worker_flows))


async def main() -> None:
    """Serve until SIGTERM or SIGINT; then let steps finish for a while, and give the rest back."""
    settings, worker = bootstrap.settings(), cold_start.loaded()
    clock = StoppableClock(settings.stop_seconds)
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, clock.stop)
    for mistake in bootstrap.registry().read_all()[1]:
        log.error("%s", mistake)
    await _store_fits(clock)
    log.info("worker ready")
    await asyncio.gather(
        serve(worker, bootstrap.wake_listener(), clock, Room.shared(settings.worker_flows)),
        webhook_sending.run_dispatcher(clock.stopping, bootstrap.wake_listener()),
    )


async def _store_fits(clock: StoppableClock) -> None:
    """Return when the store has been asked; one that is away is waited for. Raises SettingsError."""
    while not clock.stopping.is_set():
        try:
            return await bootstrap.store_check().require()
        except UnavailableError as error:
            log.warning("the worker waits for the store: %s", error)
            await asyncio.sleep(error.retry_after_seconds)
    return None


app = apps.unguarded(
    "crew_worker",
    [Route("/v1/worker", run_message, methods=["POST"])],
    bootstrap.require_model,
    webhook_sending.require_secret,
)

if __name__ == "__main__":
    request_log.configure()
    try:
        asyncio.run(main())
    except (SettingsError, AllowListError) as error:
        sys.exit(f"crewline: {error}")

"""Dispatching: send what is due by webhook, in order, until it is accepted or given up.

Processing an outbox entry reads the new events of its flow and sends one webhook per webhook event;
the cursor is saved after each 2xx. One that is not accepted is tried eight times over a day, and
holds up those behind it; then it is given up, and so is its address: what else is meant for that is
tried once each, until one is accepted. After the final event the flow leaves the outbox.

A dispatcher may be killed at any time. What it had sent but not saved is sent again, with the same
id.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from core.crews.ledger import FencedError
from core.errors import InvalidInputError, NotFoundError, UnavailableError
from core.flows import Entry, Flow, FlowLog, Head, Status
from core.webhooks.events import Render, WebhookEvent, webhook_events
from core.webhooks.outbox import Delivery, DeliveryCursor, Outbox
from core.webhooks.sender import UndeliveredError, WebhookSender
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets

log = logging.getLogger(__name__)

CONCURRENCY = 32  # flows that one process has under way
PAGE = 1000  # events read at once
LIMIT = 100  # flows of one tenant in one round, so that none holds up the others


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When what happens, in seconds.

    `delays` after each failure but the last. An entry is leased for `lease`, which must be longer
    than a POST may take. The log of a running flow is polled soon after something happened, later
    when nothing does (`poll`); so is the outbox (`idle`).
    """

    delays: tuple[float, ...] = (5, 30, 120, 600, 3600, 5 * 3600, 17 * 3600)
    lease: float = 60.0
    poll: tuple[float, float] = (1.0, 15.0)
    poll_waiting: float = 60.0
    idle: tuple[float, float] = (0.5, 5.0)

    @property
    def tries(self) -> int:
        """How often a webhook event is tried."""
        return len(self.delays) + 1

    def poll_ms(self, waited_ms: int, status: Status) -> int:
        """Return how long a flow of which all is delivered is left alone."""
        if status is Status.WAITING:
            return _ms(self.poll_waiting)
        soonest, latest = self.poll
        return min(max(waited_ms, _ms(soonest)), _ms(latest))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class WebhookDispatcher:
    """Sends webhooks, with bodies as `render` words them.

    `now` is the time in seconds since 1970, for signatures.
    """

    outbox: Outbox
    log: FlowLog
    sender: WebhookSender
    targets: Targets
    signer: Signer
    render: Render
    policy: RetryPolicy = RetryPolicy()
    now: Callable[[], float] = time.time

    async def deliver_once(self, limit: int = LIMIT, stopped: Callable[[], bool] = _never) -> int:
        """Send what is due now, of at most `limit` flows a tenant; return how many were processed.

        When `stopped` says so, the POSTs under way are finished and the rest stays due. Raises
        UnavailableError.
        """
        running: set[asyncio.Task[None]] = set()
        try:
            return await self._start_due(running, limit, stopped)
        finally:
            await asyncio.gather(*running)

    async def run_forever(self, stopped: Callable[[], bool]) -> None:
        """Send what becomes due, on a host where a process may stay, until `stopped`."""
        running: set[asyncio.Task[None]] = set()
        soon, latest = self.policy.idle
        idle = soon
        while not stopped():
            try:
                started = await self._start_due(running, LIMIT, stopped)
            except UnavailableError as error:
                log.warning("cannot look at the outbox: %s", error)
                started = 0
            idle = soon if started else min(idle * 1.5, latest)
            await asyncio.sleep(idle)
        await asyncio.gather(*running)

    async def _start_due(
        self, running: set[asyncio.Task[None]], limit: int, stopped: Callable[[], bool]
    ) -> int:
        """Start processing all that is due, as there is room; return how many."""
        started = 0
        for tenant in await self.outbox.tenants():
            left = limit
            while left > 0 and not stopped():
                room = min(left, await _room(running))
                leased = await self.outbox.lease(tenant, room, _ms(self.policy.lease))
                for delivery in leased:
                    task = asyncio.create_task(self._process_safely(tenant, delivery, stopped))
                    running.add(task)
                    task.add_done_callback(running.discard)
                started, left = started + len(leased), left - len(leased) if leased else 0
        return started

    async def _process_safely(
        self, tenant: str, delivery: Delivery, stopped: Callable[[], bool]
    ) -> None:
        """Process one entry; whatever goes wrong, it comes again when the lease is over."""
        flow = delivery.flow
        try:
            await self._process(tenant, delivery, stopped)
        except NotFoundError:
            log.info("flow %s of %s is gone, and what was to be sent of it", flow, tenant)
            await self._remove(tenant, delivery)
        except FencedError:
            log.info("webhooks of flow %s of %s are sent by somebody else", flow, tenant)
        except UnavailableError as error:
            log.warning("webhooks of flow %s of %s are sent later: %s", flow, tenant, error)
        except Exception:
            log.exception("webhooks of flow %s of %s were not sent; they come again", flow, tenant)

    async def _remove(self, tenant: str, delivery: Delivery) -> None:
        try:
            await self.outbox.remove(tenant, delivery)
        except (FencedError, UnavailableError):
            log.info("flow %s of %s leaves the outbox another time", delivery.flow, tenant)

    async def _process(self, tenant: str, delivery: Delivery, stopped: Callable[[], bool]) -> None:
        head = await self.log.head(tenant, delivery.flow)
        if delivery.cursor >= DeliveryCursor.after(head.sequence):
            return await self._reschedule(
                tenant, replace(delivery, wait_ms=delivery.wait_ms * 2), head
            )
        flow = await self.log.snapshot(tenant, delivery.flow)
        for event in webhook_events(flow, await self._new_entries(tenant, flow, delivery.cursor)):
            if event.cursor <= delivery.cursor:
                continue
            if stopped():
                return await self.outbox.save(tenant, delivery, 0)
            delivery = await self._send(tenant, flow, event, delivery)
            if delivery.cursor < event.cursor:
                delay = self.policy.delays[delivery.failures - 1]
                return await self.outbox.save(tenant, delivery, _ms(delay))
            await self.outbox.save(tenant, delivery, _ms(self.policy.lease))
        cursor = DeliveryCursor.after(flow.head.sequence)
        return await self._reschedule(
            tenant, replace(delivery, cursor=cursor, wait_ms=0), flow.head
        )

    async def _new_entries(self, tenant: str, flow: Flow, cursor: DeliveryCursor) -> list[Entry]:
        """Return the events from the cursor, its own event included, to those of the state."""
        before = max(0, cursor.number - 1)
        found: list[Entry] = []
        while page := await self.log.entries(
            tenant, flow.id, found[-1].number if found else before, PAGE, fresh=True
        ):
            found += page
            if found[-1].number >= flow.head.sequence:
                break
        if flow.head.sequence > (found[-1].number if found else before):
            raise UnavailableError("the log does not show all that the state counts")
        if found and found[0].number > before + 1:
            log.warning("webhooks of flow %s came too late: its log was trimmed", flow.id)
        return [entry for entry in found if entry.number <= flow.head.sequence]

    async def _reschedule(self, tenant: str, delivery: Delivery, head: Head) -> None:
        """Poll a flow of which all is delivered later; or never again, if it has ended."""
        if head.status.terminal:
            return await self.outbox.remove(tenant, delivery)
        wait_ms = self.policy.poll_ms(delivery.wait_ms, head.status)
        return await self.outbox.save(tenant, replace(delivery, wait_ms=wait_ms), wait_ms)

    async def _send(
        self, tenant: str, flow: Flow, event: WebhookEvent, delivery: Delivery
    ) -> Delivery:
        """Try to send one event; return the delivery after it: accepted, to retry, given up."""
        kind = event.kind
        event_id = f"{flow.id}.{flow.head.cursor(event.cursor.number)}.{kind}"
        told = self.render(flow, event.notification)
        body = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
        try:
            target = self.targets.target(tenant, event.url)
            headers = self.signer.headers(tenant, event_id, body, int(self.now()))
            if event.authorization is not None:
                headers["authorization"] = event.authorization
            await self.sender.send(target, headers, body)
        except (UndeliveredError, InvalidInputError) as error:
            failures = delivery.failures + 1
            if failures < self.policy.tries and kind not in delivery.disabled_kinds:
                log.info("webhook %s of %s is tried again: %s", event_id, tenant, error)
                return replace(delivery, failures=failures)
            log.warning("webhook %s of %s is given up: %s", event_id, tenant, error)
            disabled = delivery.disabled_kinds | {kind}
            return replace(delivery, cursor=event.cursor, failures=0, disabled_kinds=disabled)
        disabled = delivery.disabled_kinds - {kind}
        return replace(delivery, cursor=event.cursor, failures=0, disabled_kinds=disabled)


async def _room(running: set[asyncio.Task[None]]) -> int:
    if len(running) >= CONCURRENCY:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)  # for the callbacks that make the room
    return max(1, CONCURRENCY - len(running))

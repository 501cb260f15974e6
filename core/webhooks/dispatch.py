"""Dispatching one delivery: send what its flow's log has gained, in order.

One webhook is sent per webhook event; the cursor is saved after each 2xx. One that is not accepted is
tried eight times over a day, and holds up those behind it, but for those that ask a person at another
address; then it is given up, and so is its address: what else is meant for that is tried once each, until one is accepted. After the final event
the flow leaves the outbox. What is for a host that is slow is put off, without counting as a try.

Whoever processes may be killed at any time. What was sent but not saved is sent again, with the same
id.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from core import logs
from core.costs.budget import Budgets
from core.crews.ledger import FencedError
from core.errors import InvalidInputError, NotFoundError, UnavailableError
from core.flows import Entry, Flow, FlowLog, Head
from core.flows.values import INLINE, LargeValues, LostValueError, without_large
from core.webhooks.dispatch_times import DispatchTimes
from core.webhooks.events import Render, WebhookEvent, webhook_events
from core.webhooks.hosts import HostShares, SlowHostError
from core.webhooks.outbox import Delivery, DeliveryCursor, News, Outbox, WebhookKind
from core.webhooks.sender import UndeliveredError, WebhookSender
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets

log = logging.getLogger(__name__)

PAGE = 400  # events read at once, where nothing failed before
TIMES = DispatchTimes()


@dataclass(frozen=True, slots=True)
class DispatchParts:
    """What dispatching needs; bodies are as `render` words them.

    `now` is the time in seconds since 1970, for signatures.
    """

    outbox: Outbox
    log: FlowLog
    sender: WebhookSender
    targets: Targets
    signer: Signer
    render: Render
    times: DispatchTimes = TIMES
    now: Callable[[], float] = time.time
    values: LargeValues = INLINE
    hosts: HostShares = field(default_factory=HostShares)
    budgets: Budgets | None = None  # whose alerts are sent; without it none are


@dataclass(slots=True)
class Dispatch:
    """A delivery in our hands, and how far it has come."""

    parts: DispatchParts
    tenant: str
    delivery: Delivery
    stopped: Callable[[], bool]

    async def process(self) -> None:
        """Send what is new, and say when to look again; whatever goes wrong, it comes again."""
        logs.add(tenant=self.tenant, flow=self.delivery.flow)
        try:
            await self._process()
        except NotFoundError:
            log.info("the flow is gone, and what was to be sent of it")
            await self._leave()
        except FencedError:
            log.info("webhooks are sent by somebody else")
        except UnavailableError as error:
            log.warning("webhooks are sent later: %s", error)
            await self._give_back(self.delivery, self.parts.times.soonest_ms)
        except Exception:
            log.exception("webhooks went wrong")
            await self._count_failure()

    async def _process(self) -> None:
        parts, delivery = self.parts, self.delivery
        head = await parts.log.head(self.tenant, delivery.flow)
        if delivery.cursor >= DeliveryCursor.after(head.last_event):
            return await self._look_again(head, delivery.wait_ms * 2)
        flow = await self._whole(await parts.log.snapshot(self.tenant, delivery.flow))
        limit = 1 if delivery.failures else PAGE  # then the cursor is right before what is sent
        while self.delivery.cursor < DeliveryCursor.after(flow.head.last_event):
            entries = await self._page(flow, limit)
            delay_ms = await self._send_all(flow, entries)
            if delay_ms is not None:
                return await parts.outbox.save(self.tenant, self.delivery, delay_ms)
            done = entries[-1].number if entries else flow.head.last_event
            self.delivery, limit = replace(self.delivery, cursor=DeliveryCursor.after(done)), PAGE
        return await self._look_again(flow.head, 0)

    async def _send_all(self, flow: Flow, entries: list[Entry]) -> int | None:
        """Send what these events mean; return in how many ms to go on, if it is not all sent."""
        parts = self.parts
        for event in webhook_events(flow, entries):
            if event.cursor <= self.delivery.cursor:
                continue
            if self.stopped():
                return 0
            delay_ms = await self._attempt(flow, event)
            if delay_ms is not None:
                before = DeliveryCursor(event.cursor.number)
                cursor = max(self.delivery.cursor, before)
                self.delivery = replace(self.delivery, cursor=cursor)
                await self._ask_ahead(flow, event)
                return delay_ms
            await parts.outbox.renew(self.tenant, self.delivery, parts.times.lease_ms)
        return None

    async def _whole(self, flow: Flow) -> Flow:
        """Return the flow with its large values; without those that the object store has lost.

        Nothing is sent of these, but still that the flow has ended.
        """
        try:
            return await self.parts.values.whole(self.tenant, flow)
        except LostValueError as error:
            log.warning("webhooks lack what they are about: %s", error)
            return without_large(flow)

    async def _page(self, flow: Flow, limit: int) -> list[Entry]:
        """Return the next events from the cursor, its own event included, at most to the state's last."""
        before = max(0, self.delivery.cursor.number - 1)
        if self.delivery.cursor.index > len(WebhookKind):  # it has all of its event behind it
            before = self.delivery.cursor.number
        page = await self.parts.log.entries(self.tenant, flow.id, before, limit, fresh=True)
        if not page:
            raise UnavailableError("the log does not show all that the state counts")
        if page[0].number > before + 1:
            log.warning("webhooks came too late: the log was trimmed")
        return [entry for entry in page if entry.number <= flow.head.last_event]

    async def _look_again(self, head: Head, waited_ms: int) -> None:
        """Poll a flow of which all is delivered later; or never again, if it has ended."""
        outbox, times = self.parts.outbox, self.parts.times
        if head.status.terminal:
            return await outbox.remove(self.tenant, self.delivery)
        wait_ms = times.poll_ms(waited_ms, head.status)
        waited_ms = min(wait_ms, times.longest_poll_ms)
        delivery = replace(self.delivery, wait_ms=waited_ms, failures=0)
        news = News(head.last_event, times.soonest_ms)
        return await outbox.save(self.tenant, delivery, wait_ms, news)

    async def _attempt(self, flow: Flow, event: WebhookEvent) -> int | None:
        """Send one event, unless it was sent ahead; return the ms to wait if it is to be tried again."""
        if event.kind is WebhookKind.HUMAN_INPUT and event.cursor <= self.delivery.asked:
            self.delivery = replace(self.delivery, cursor=event.cursor, failures=0)
            return None
        try:
            await self._send(flow, event)
        except SlowHostError:
            log.info("webhooks are sent later: their host is slow")
            return self.parts.times.put_off_ms()
        failed = self.delivery.cursor < event.cursor
        return self.parts.times.delay_ms(self.delivery.failures) if failed else None

    async def _ask_ahead(self, flow: Flow, failed: WebhookEvent) -> None:
        """Send what asks a person, if it goes to another address than the event that failed.

        Nobody waits for an answer longer than it takes to ask for it. What is not accepted is tried
        again with the event that failed.
        """
        if flow.question is None or self.stopped():
            return
        asks = await self.parts.log.entries(self.tenant, flow.id, flow.moved - 1, 1, fresh=True)
        for event in webhook_events(flow, asks):
            elsewhere = event.kind is WebhookKind.HUMAN_INPUT and event.url != failed.url
            if (
                not elsewhere
                or event.cursor <= self.delivery.asked
                or event.cursor <= failed.cursor
            ):
                continue
            try:
                await self._post(flow, event, _name(flow, event))
            except (UndeliveredError, InvalidInputError, SlowHostError) as error:
                log.info("a person is asked later: %s", error)
                return
            self.delivery = replace(self.delivery, asked=event.cursor)
            lease_ms = self.parts.times.lease_ms
            await self.parts.outbox.renew(self.tenant, self.delivery, lease_ms)

    async def _send(self, flow: Flow, event: WebhookEvent) -> None:
        """Try to send one event: it is accepted, to be tried again, or given up."""
        delivery, kind, name = self.delivery, event.kind, _name(flow, event)
        try:
            await self._post(flow, event, name)
        except (UndeliveredError, InvalidInputError) as error:
            failures = delivery.failures + 1
            if failures < self.parts.times.tries and kind not in delivery.disabled_kinds:
                log.info("a webhook is tried again: %s", error, extra={"webhook": name})
                self.delivery = replace(delivery, failures=failures)
                return
            log.warning("a webhook is given up: %s", error, extra={"webhook": name})
            disabled = delivery.disabled_kinds | {kind}
        else:
            disabled = delivery.disabled_kinds - {kind}
        self.delivery = replace(delivery, cursor=event.cursor, failures=0, disabled_kinds=disabled)

    async def _post(self, flow: Flow, event: WebhookEvent, name: str) -> None:
        body = self.parts.render(flow, event.notification)
        await self._post_to(event.url, body, name, event.authorization)

    async def _post_to(
        self, url: str, body: dict[str, Any], name: str, authorization: str | None = None
    ) -> None:
        parts = self.parts
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        target = parts.targets.target(self.tenant, url)
        headers = parts.signer.headers(self.tenant, name, data, int(parts.now()))
        if authorization is not None:
            headers["authorization"] = authorization
        async with parts.hosts.place(self.tenant, target.host, target.port):
            await parts.sender.send(target, headers, data)

    async def _count_failure(self) -> None:
        """Try again later what nobody foresaw; give the whole flow up when that does not help."""
        times, failures = self.parts.times, self.delivery.failures + 1
        if failures >= times.tries:
            log.error("webhooks are given up")
            return await self._leave()
        delivery = replace(self.delivery, failures=failures)
        return await self._give_back(delivery, times.delay_ms(failures))

    async def _give_back(self, delivery: Delivery, delay_ms: int) -> None:
        try:
            await self.parts.outbox.save(self.tenant, delivery, delay_ms)
        except (FencedError, UnavailableError):
            log.info("the entry comes again with its lease")

    async def _leave(self) -> None:
        try:
            await self.parts.outbox.remove(self.tenant, self.delivery)
        except (FencedError, UnavailableError):
            log.info("the entry leaves the outbox later")


def _name(flow: Flow, event: WebhookEvent) -> str:
    """Return the id of a webhook, however often it is sent."""
    return f"{flow.id}.{flow.head.cursor(event.cursor.number)}.{event.kind}"

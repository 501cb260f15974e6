"""Processing one outbox entry: send what its flow's log has gained, in order.

One webhook is sent per webhook event; the cursor is saved after each 2xx. One that is not accepted is
tried eight times over a day, and holds up those behind it; then it is given up, and so is its
address: what else is meant for that is tried once each, until one is accepted. After the final event
the flow leaves the outbox.

Whoever processes may be killed at any time. What was sent but not saved is sent again, with the same
id.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from core import logs
from core.crews.ledger import FencedError
from core.errors import InvalidInputError, NotFoundError, UnavailableError
from core.flows import Entry, Flow, FlowLog, Head
from core.flows.values import INLINE, LargeValues, LostValueError, without_large
from core.webhooks.events import Render, WebhookEvent, webhook_events
from core.webhooks.outbox import Delivery, DeliveryCursor, News, Outbox
from core.webhooks.retry_policy import RetryPolicy
from core.webhooks.sender import UndeliveredError, WebhookSender
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets

log = logging.getLogger(__name__)

PAGE = 1000  # events read at once
POLICY = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Parts:
    """What processing needs; bodies are as `render` words them.

    `now` is the time in seconds since 1970, for signatures.
    """

    outbox: Outbox
    log: FlowLog
    sender: WebhookSender
    targets: Targets
    signer: Signer
    render: Render
    policy: RetryPolicy = POLICY
    now: Callable[[], float] = time.time
    values: LargeValues = INLINE


@dataclass(slots=True)
class OutboxEntry:
    """An entry in our hands; `delivery` is how far it has come."""

    parts: Parts
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
            await self._give_back(self.delivery, self.parts.policy.soonest_ms)
        except Exception:
            log.exception("webhooks went wrong")
            await self._count_failure()

    async def _process(self) -> None:
        parts, delivery = self.parts, self.delivery
        head = await parts.log.head(self.tenant, delivery.flow)
        if delivery.cursor >= DeliveryCursor.after(head.sequence):
            return await self._look_again(head, delivery.wait_ms * 2)
        flow = await parts.log.snapshot(self.tenant, delivery.flow)
        flow = await self._whole(flow)
        for event in webhook_events(flow, await self._new_entries(flow)):
            if event.cursor <= self.delivery.cursor:
                continue
            if self.stopped():
                return await parts.outbox.save(self.tenant, self.delivery, 0)
            await self._send(flow, event)
            if self.delivery.cursor < event.cursor:
                delay_ms = parts.policy.delay_ms(self.delivery.failures)
                return await parts.outbox.save(self.tenant, self.delivery, delay_ms)
            await parts.outbox.renew(self.tenant, self.delivery, parts.policy.lease_ms)
        cursor = DeliveryCursor.after(flow.head.sequence)
        self.delivery = replace(self.delivery, cursor=cursor)
        return await self._look_again(flow.head, 0)

    async def _whole(self, flow: Flow) -> Flow:
        """Return the flow with its large values; without those that the object store has lost.

        Nothing is sent of these, but still that the flow has ended.
        """
        try:
            return await self.parts.values.whole(self.tenant, flow)
        except LostValueError as error:
            log.warning("webhooks lack what they are about: %s", error)
            return without_large(flow)

    async def _new_entries(self, flow: Flow) -> list[Entry]:
        """Return the events from the cursor, its own event included, to those of the state."""
        before = max(0, self.delivery.cursor.number - 1)
        found: list[Entry] = []
        while page := await self.parts.log.entries(
            self.tenant, flow.id, found[-1].number if found else before, PAGE, fresh=True
        ):
            found += page
            if found[-1].number >= flow.head.sequence:
                break
        if flow.head.sequence > (found[-1].number if found else before):
            raise UnavailableError("the log does not show all that the state counts")
        if found and found[0].number > before + 1:
            log.warning("webhooks came too late: the log was trimmed")
        return [entry for entry in found if entry.number <= flow.head.sequence]

    async def _look_again(self, head: Head, waited_ms: int) -> None:
        """Poll a flow of which all is delivered later; or never again, if it has ended."""
        outbox, policy = self.parts.outbox, self.parts.policy
        if head.status.terminal:
            return await outbox.remove(self.tenant, self.delivery)
        wait_ms = policy.poll_ms(waited_ms, head.status)
        waited_ms = min(wait_ms, policy.longest_poll_ms)
        delivery = replace(self.delivery, wait_ms=waited_ms, failures=0)
        news = News(head.sequence, policy.soonest_ms)
        return await outbox.save(self.tenant, delivery, wait_ms, news)

    async def _send(self, flow: Flow, event: WebhookEvent) -> None:
        """Try to send one event: it is accepted, to be tried again, or given up."""
        delivery, kind = self.delivery, event.kind
        name = f"{flow.id}.{flow.head.cursor(event.cursor.number)}.{kind}"
        try:
            await self._post(flow, event, name)
        except (UndeliveredError, InvalidInputError) as error:
            failures = delivery.failures + 1
            if failures < self.parts.policy.tries and kind not in delivery.disabled_kinds:
                log.info("a webhook is tried again: %s", error, extra={"webhook": name})
                self.delivery = replace(delivery, failures=failures)
                return
            log.warning("a webhook is given up: %s", error, extra={"webhook": name})
            disabled = delivery.disabled_kinds | {kind}
        else:
            disabled = delivery.disabled_kinds - {kind}
        self.delivery = replace(delivery, cursor=event.cursor, failures=0, disabled_kinds=disabled)

    async def _post(self, flow: Flow, event: WebhookEvent, name: str) -> None:
        parts = self.parts
        told = parts.render(flow, event.notification)
        body = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
        target = parts.targets.target(self.tenant, event.url)
        headers = parts.signer.headers(self.tenant, name, body, int(parts.now()))
        if event.authorization is not None:
            headers["authorization"] = event.authorization
        await parts.sender.send(target, headers, body)

    async def _count_failure(self) -> None:
        """Try again later what nobody foresaw; give the whole flow up when that does not help."""
        policy, failures = self.parts.policy, self.delivery.failures + 1
        if failures >= policy.tries:
            log.error("webhooks are given up")
            return await self._leave()
        delivery = replace(self.delivery, failures=failures)
        return await self._give_back(delivery, policy.delay_ms(failures))

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

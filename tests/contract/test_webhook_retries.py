"""What trying a webhook again costs, however much happens meanwhile: commands and bytes out of Redis."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from core.adapters.http_webhooks import HttpWebhookSender
from core.adapters.upstash.commands import Command
from core.adapters.upstash.http import HttpRedis
from core.crews.ledger import Claim, StepWrite
from core.flows import events
from core.webhooks.dispatch import DispatchParts
from core.webhooks.dispatch_times import DispatchTimes
from core.webhooks.dispatcher import WebhookDispatcher
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets
from functions._amp.webhook_bodies import render
from tests.fixtures_ports import Flows, over_redis, own_keys
from tests.fixtures_servers import Rest
from tests.webhook_parts import OK, OOPS, SECRET, Story, receiving

AT_ONCE = DispatchTimes(delays=(0.0,) * 50, poll=(0.0, 0.0), poll_waiting=0.0)
FEW_COMMANDS, FEW_BYTES = 10, 40_000  # of a retry: the state, and what is sent


@dataclass
class Measured:
    """Commands, counted with what they answer."""

    redis: HttpRedis
    sent: int = 0
    received: int = 0

    async def execute(self, command: Command) -> Any:
        (reply,) = await self.pipeline([command])
        return reply

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        replies = await self.redis.pipeline(commands)
        self.sent += len(commands)
        self.received += len(json.dumps(replies))
        return replies


@dataclass
class Sending:
    """A dispatcher whose every look is measured."""

    measured: Measured
    flows: Flows
    urls: tuple[str, ...] = ()

    async def look(self) -> tuple[int, int]:
        """Process what is due once; return what that took, in commands and bytes."""
        parts = DispatchParts(
            self.flows.outbox,
            self.flows.log,
            HttpWebhookSender(timeout_seconds=2),
            Targets({self.flows.tenant: self.urls}),
            Signer((SECRET,)),
            render,
            AT_ONCE,
        )
        before = self.measured.sent, self.measured.received
        assert await WebhookDispatcher(parts).deliver_once(limit=1) == 1
        return self.measured.sent - before[0], self.measured.received - before[1]

    async def looks(self, times: int) -> tuple[int, int]:
        """Look so often; return the most that any took."""
        took = [await self.look() for _ in range(times)]
        return max(sent for sent, _ in took), max(received for _, received in took)


@pytest.fixture
def sending(gateway: Rest) -> Sending:
    measured = Measured(HttpRedis(gateway.url, gateway.token))
    flows = over_redis(measured, gateway.url, gateway.token, keys=own_keys())
    return Sending(measured, flows)


async def chatter(flows: Flows, characters: int) -> None:
    """Have a step of the flow write so much text, in events of a thousand characters."""
    state = await flows.ledger.state(flows.tenant, "f1")
    seen = next(step for step in state.steps if step.state == "pending")
    claim = await flows.ledger.claim(
        flows.tenant, "f1", seen, owner="o", lease_ms=60_000, events=[]
    )
    assert isinstance(claim, Claim)
    for seq in range(1, characters // 100_000 + 1):
        told = [each for _ in range(100) for each in events.custom("said", "x" * 1_000)]
        await flows.ledger.emit(claim, seq, 60_000, StepWrite(told))
    await flows.ledger.release(
        claim, 10_000, StepWrite([]), delay_ms=0, reason="to let the story go on"
    )


async def test_a_host_that_is_away_costs_the_same_at_each_retry_however_long_the_log(
    sending: Sending,
):
    async with receiving(lambda _: OOPS) as receiver:
        sending.urls = (receiver.url,)
        story = await Story(sending.flows).launched(receiver.url)
        await chatter(sending.flows, 1_500_000)
        await story.finished("find", {"words": ["drop"]})
        await sending.look()
        of_one = await sending.looks(3)
        await story.finished("write", "Ah")
        await story.waits("write.review.1", "Ah")
        of_more = await sending.looks(3)
        assert {post.kind for post in receiver.posts} == {"step"}
    for commands, received in (of_one, of_more):
        assert commands <= FEW_COMMANDS
        assert received <= FEW_BYTES


async def test_a_person_is_asked_ahead_without_reading_what_lies_between(sending: Sending):
    async with receiving(lambda _: OOPS) as away, receiving(lambda _: OK) as person:
        sending.urls = (away.url, person.url)
        kinds = {"step": f"{away.url}/step", "human_input": f"{person.url}/person"}
        story = await Story(sending.flows).launched("", **kinds)
        await story.finished("find", {"words": ["drop"]})
        await sending.look()
        await chatter(sending.flows, 1_500_000)
        await story.finished("write", "Ah")
        await story.waits("write.review.1", "Ah")
        commands, received = await sending.looks(3)
        assert [post.path for post in person.posts] == ["/person"]
    assert commands <= FEW_COMMANDS + 4
    assert received <= FEW_BYTES

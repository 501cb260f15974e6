"""What reading a log costs: not much more than what is handed on, whatever its batches hold."""

from collections.abc import Sequence
from typing import Any

import pytest

from core.adapters.upstash.commands import Command, Commands
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.log import UpstashFlowLog
from core.crews.ledger import Claim, StepWrite
from core.flows import Batch, FlowLog, Status, events, pages
from core.flows.hub import Hub
from core.json_text import compact
from tests.fixtures_ports import Flows, a_launch, over_redis, own_keys
from tests.fixtures_servers import Rest

LEASE_MS = 600_000
PIECES = ["x" * 15_000] * 16  # of one write: what a batch holds at most, about 250 kB
SHAPES = {
    "large batches": [PIECES] * 40,
    "small batches, and then large ones": [["x"]] * 300 + [PIECES] * 20,
    "small and large ones in turn": ([["x"]] * 20 + [PIECES]) * 15,
    "small batches": [["x" * 200]] * 3000,
}


class Weighed:
    """Commands, of whose replies the characters are counted."""

    def __init__(self, commands: Commands) -> None:
        self._commands, self.sent, self.characters = commands, 0, 0

    async def execute(self, command: Command) -> Any:
        self.sent += 1
        reply = await self._commands.execute(command)
        self.characters += len(compact(reply))
        return reply

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        return [await self.execute(command) for command in commands]


@pytest.fixture
def flows(gateway: Rest) -> Flows:
    return over_redis(
        HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token, keys=own_keys()
    )


@pytest.fixture
def weighed(gateway: Rest) -> Weighed:
    return Weighed(HttpRedis(gateway.url, gateway.token))


@pytest.fixture
def log(flows: Flows, weighed: Weighed, gateway: Rest) -> FlowLog:
    return UpstashFlowLog(weighed, HttpPubSub(gateway.url, gateway.token), flows.keys)


async def written(flows: Flows, batches: list[list[str]], *, ends: bool = True) -> None:
    """A flow whose log has these batches of events, each with a text."""
    await flows.ledger.create(flows.tenant, a_launch())
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner="w", lease_ms=LEASE_MS, events=[]
    )
    assert isinstance(claim, Claim)
    for seq, texts in enumerate(batches, 1):
        told = [event for text in texts for event in events.custom("x", text)]
        await flows.ledger.emit(claim, seq, LEASE_MS, StepWrite(told))
    if ends:
        await flows.ledger.transition(
            flows.tenant,
            "f1",
            Status.SUCCEEDED,
            status_epoch=0,
            events=events.run_finished("f1", 1),
        )


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_log_in_pages_is_read_little_more_than_once(
    flows: Flows, log: FlowLog, weighed: Weighed, shape: str
):
    await written(flows, SHAPES[shape])
    after, handed, numbers, count = "0", 0, list[int](), 0
    while (page := await pages.read_page(log, flows.tenant, "f1", after)).entries:
        handed += sum(len(entry.json) for entry in page.entries)
        numbers += [entry.number for entry in page.entries]
        after, count = page.cursor, count + 1
    assert numbers == list(range(1, page.head.last_event + 1))
    assert weighed.characters < 4 * handed + 100_000
    assert weighed.sent <= 8 * count + 2


async def test_whoever_follows_a_long_log_has_it_read_little_more_than_twice(
    flows: Flows, log: FlowLog, weighed: Weighed
):
    """Once for the reader, and what is new of it for the buffer."""
    await written(flows, [PIECES] * 40)
    handed = 0
    async with Hub(log).subscribe(flows.tenant, "f1", None) as subscriber:
        async for item in subscriber.items(lambda: 30.0):
            assert isinstance(item, list)
            handed += weight(item)
    assert handed > 9_000_000
    assert weighed.characters < 3 * handed


async def test_a_flow_with_a_long_log_is_joined_without_reading_it_all(
    flows: Flows, log: FlowLog, weighed: Weighed
):
    await written(flows, [PIECES] * 40, ends=False)
    newest = await flows.log.head(flows.tenant, "f1")
    cursor = newest.cursor(newest.last_event - 3)
    async with Hub(log).subscribe(flows.tenant, "f1", cursor) as subscriber:
        item = await anext(subscriber.items(lambda: 30.0))
    assert isinstance(item, list)
    assert weighed.characters < 300_000  # the batch that these are in


def weight(batch: Batch) -> int:
    return sum(len(entry.json) for entry in batch)

"""Reports and batches: what a report costs with more calls, and how many calls a batch brings in."""

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks import cost_work
from benchmarks.parts import Parts, Server
from benchmarks.report import Figure
from core import identity, time_of_day
from core.adapters.upstash.commands import Command, Commands
from core.adapters.upstash.usage import UpstashUsageBook
from core.costs.recording import MOST_CALLS, RecordedCall
from core.costs.rollup import HOUR_MS, day_of

if TYPE_CHECKING:
    from httpx import AsyncClient

DAYS = 90
BY = "group_by=day,model"
AT_ONCE = 2
RAW_SHARE = 4  # a quarter of the batches is enough of the slower way


async def measured(running: Parts, few: int, many: int, reads: int, batches: int) -> list[Figure]:
    """Return the figures of reports over `few` and `many` calls, and of batches."""
    server = running.serve("costs", "functions.cost_report:app")
    for tenant, count in (("few", few), ("many", many)):
        await _record(running.redis(), tenant, count)
    return [
        await _report(running, server, reads, few, many),
        await _ingest(running, server, batches),
    ]


async def _record(redis: Commands, tenant: str, count: int) -> None:
    book, now_ms = UpstashUsageBook(redis), time_of_day.now_ms()
    calls = cost_work.calls(count, DAYS, now_ms, "c")
    while batch := list(itertools.islice(calls, MOST_CALLS)):
        await book.record(tenant, batch)


async def _report(running: Parts, server: Server, reads: int, few: int, many: int) -> Figure:
    """Compare reports of two tenants, in turns."""
    first = time.strftime("%Y-%m-%d", time.gmtime(time.time() - (DAYS - 1) * 86_400))
    last = time.strftime("%Y-%m-%d", time.gmtime())
    url = f"/v1/costs?from={first}&to={last}&{BY}"
    times: dict[str, list[float]] = {"few": [], "many": []}
    async with _client(server) as http:
        for turn in range(reads + 1):
            for tenant, seen in times.items():
                headers = {"authorization": _bearer(running, tenant, identity.COSTS_READ)}
                took = await _timed(lambda: http.get(url, headers=headers))  # noqa: B023 -- awaited
                if turn:  # the first warms up
                    seen.append(took * 1000)
    small, large = (statistics.median(times[tenant]) for tenant in ("few", "many"))
    ratio = statistics.median(m / f for f, m in zip(times["few"], times["many"], strict=True))
    seen = f"{large:.1f} ms over {many:,} calls, {small:.1f} over {few:,}; {DAYS} days"
    return Figure("report_ms_100x", round(ratio, 3), "<= 1.2", seen)


async def _ingest(running: Parts, server: Server, batches: int) -> Figure:
    """Compare batches over HTTP with the commands that add each call to the same sums, in pipelines.

    These have their prices already, check no id and answer nothing. Told beside it: the very scripts
    that batches over HTTP come to, sent as they are.
    """
    redis, now_ms = running.redis(), time_of_day.now_ms()
    prepared = await _prepared(redis, batches, now_ms)
    raw = [
        list(_commands(cost_work.calls(MOST_CALLS, 1, now_ms, f"p{number}-")))
        for number in range(batches // RAW_SHARE)
    ]
    bodies = [_body(number) for number in range(batches)]
    headers = {
        "authorization": _bearer(running, "batches", identity.COSTS_WRITE),
        "content-type": "application/json",
    }
    async with _client(server) as http:

        async def post(body: bytes) -> None:
            answer = await http.post("/v1/usage", content=body, headers=headers)
            assert answer.json()["recorded"] == MOST_CALLS  # noqa: S101 -- what is measured

        await post(_body(batches))
        ours = await _per_second(bodies, post)
        scripts = await _per_second(prepared, redis.pipeline)
        commands = await _per_second(raw, redis.pipeline)
    seen = (
        f"{ours * MOST_CALLS:,.0f} calls a second, {commands * MOST_CALLS:,.0f} as raw commands, "
    )
    seen += f"{scripts * MOST_CALLS:,.0f} as scripts that were made before"
    return Figure("ingest_calls_per_s_vs_pipeline", round(ours / commands, 3), ">= 0.5", seen)


async def _prepared(redis: Commands, batches: int, now_ms: int) -> list[Sequence[Command]]:
    """Return the commands of so many batches as the book sends them; the store forgets that it did."""
    written, made = Captured(redis), list[Sequence[Command]]()
    book = UpstashUsageBook(written)
    for number in range(batches):
        await book.record("raw", list(cost_work.calls(MOST_CALLS, 1, now_ms, f"r{number}-")))
        made.append(list(written.taken))
        written.taken.clear()
    await redis.execute(["DEL", *_keys_of(made)])
    return made


def _commands(calls: Iterable[RecordedCall]) -> Iterator[Command]:
    """Yield what counts calls one by one: their ids, and each sum of their day and hour."""
    for call in calls:
        day, cell = day_of(call.at_ms), "|".join(call.names)
        yield ["SADD", "{0}:naive:ids", call.id]
        for name, value in call.usage.public().items():
            if value:
                yield ["HINCRBY", f"{{0}}:naive:{day}", f"{cell}|{name}", value]
                hour = f"{call.at_ms // HOUR_MS % 24:02}|{cell}|{name}"
                yield ["HINCRBY", f"{{0}}:naive:{day}:hours", hour, value]


class Captured:
    """Commands that pass, and what was taken of them."""

    def __init__(self, commands: Commands) -> None:
        self.taken: list[Command] = []
        self._commands = commands

    async def execute(self, command: Command) -> Any:
        self.taken.append(command)
        return await self._commands.execute(command)

    async def pipeline(self, commands: Sequence[Command]) -> list[Any]:
        self.taken += commands
        return await self._commands.pipeline(commands)


def _keys_of(raw: Sequence[Sequence[Command]]) -> list[str]:
    """Return the keys of scripts, so that the same calls are new again."""
    found = set[str]()
    for command in itertools.chain.from_iterable(raw):
        count = int(command[2])
        found |= {str(key) for key in command[3 : 3 + count]}
    return sorted(found)


def _body(number: int) -> bytes:
    calls = [
        {
            "id": f"b{number}-{at}",
            "model": cost_work.names(at)[-1],
            "usage": {"prompt_tokens": sent, "completion_tokens": received},
            "crew": cost_work.names(at)[0],
            "task_type": cost_work.names(at)[1],
            "agent": cost_work.names(at)[2],
            "subject": cost_work.names(at)[3],
        }
        for at, (sent, received) in enumerate(cost_work.trace()[:MOST_CALLS])
    ]
    return json.dumps({"calls": calls}).encode()


async def _per_second(items: Sequence[Any], send: Callable[[Any], Awaitable[Any]]) -> float:
    """Return how many are done a second, a few of them at once."""
    left = iter(items)

    async def one_after_another() -> None:
        for item in left:
            await send(item)

    took = await _timed(lambda: asyncio.gather(*[one_after_another() for _ in range(AT_ONCE)]))
    return len(items) / took


async def _timed(work: Callable[[], Awaitable[Any]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


def _client(server: Server) -> "AsyncClient":
    from httpx import AsyncClient

    return AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60)


def _bearer(running: Parts, tenant: str, scope: str) -> str:
    keys, now = identity.Keys(running.settings.jwt_keys), int(time.time())
    return f"Bearer {identity.mint(keys, tenant, 'bench', [scope], ttl_seconds=3600, now=now)}"

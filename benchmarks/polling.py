"""Polling: what a poll costs in bytes, CPU time and Redis commands, beside the naive design.

python -m benchmarks.polling --json
"""

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks import course, naive, parts, report
from benchmarks.load import Load
from benchmarks.parts import TENANT, Parts, Server
from benchmarks.report import Figure
from benchmarks.traffic import GZIP, HOLD_SECONDS, STREAM_SECONDS, Traffic
from core.adapters.upstash import records
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.ledger import UpstashRunLedger

NOT_MODIFIED, OK = 304, 200
CLIENTS, WARM_UP_SECONDS = 64, 0.3
STATE_BYTES = {"2kb": 2_048, "50kb": 51_200}  # of the states that are polled
MAX_CPU = {"2kb": 0.04, "50kb": 0.03}


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    speed: float  # by which the 600 s of a stream are shortened
    polls: int  # for the CPU time of one
    rounds: int
    round_seconds: float


FULL, QUICK = Effort(20, 5000, 7, 2.0), Effort(120, 300, 1, 0.5)


@dataclass(frozen=True, slots=True)
class Poll:
    """One state that does not change, and how it is polled."""

    state_bytes: int
    ours: bytes
    naive: bytes
    raw: bytes


async def traffic(running: Parts, effort: Effort, naive_server: Server) -> list[Figure]:
    """Measure the bytes of a 10 min flow."""
    life = f"{STREAM_SECONDS / effort.speed}"
    events = running.serve("events", "functions.flow_events:app", CREWLINE_STREAM_SECONDS=life)
    held = running.serve("held", "functions.flow_events:app")
    status = running.serve("status", "functions.flow_status:app")
    counts = Traffic(running, running.ledger())
    base = await counts.naive(naive_server)
    plain = await counts.conditional(status, {"Accept-Encoding": "identity"})
    coded = await counts.conditional(status, GZIP)
    long = await counts.long_poll(held)
    stream = await counts.stream(events, effort.speed)
    running.processes.stop("events", "held", "status")
    print(f"naive: {base.exchanges} polls, {base.sent} bytes sent, {base.received} received")
    return [
        _saved("saved_total", ">= 0.97", stream.total, base.total, f"{stream.exchanges} streams"),
        _saved(
            "saved_total_longpoll",
            ">= 0.95",
            long.total,
            base.total,
            f"{long.exchanges} polls, wait={HOLD_SECONDS}",
        ),
        _saved(
            "saved_response_poll_1s", ">= 0.88", coded.received, base.received, "responses, gzip"
        ),
        _saved("saved_response_poll_plain", ">= 0.85", plain.received, base.received, "responses"),
    ]


def _saved(key: str, must_be: str, used: int, base: int, what: str) -> Figure:
    seen = f"{used} bytes instead of {base} ({what})"
    return Figure(key, round(1 - used / base, 4), must_be, seen)


async def cost(running: Parts, effort: Effort, naive_server: Server) -> list[Figure]:
    """Measure CPU time and commands of an unchanged poll, and how many a process answers."""
    status = running.serve("status", "functions.flow_status:app")
    floor = running.serve("floor", "benchmarks.floor:app")
    ledger = running.ledger()
    polls = {name: await _poll(running, ledger, size) for name, size in STATE_BYTES.items()}
    return [
        await _commands(running, status, polls, effort.polls),
        *[
            await _cpu(name, poll, effort, status, naive_server, floor)
            for name, poll in polls.items()
        ],
        await _rate(running, status, polls["2kb"], effort),
    ]


async def _cpu(
    name: str, poll: Poll, effort: Effort, status: Server, base: Server, floor: Server
) -> Figure:
    """Compare the CPU time of polls, 64 at once as a server has them, in turns with naive ones.

    Told beside it is what one costs that comes alone, and what a constant 304 costs then under the
    same server: no function can be below that.
    """
    count = effort.polls // effort.rounds
    pairs = [
        (
            await cpu_us(status, poll.ours, count, CLIENTS),
            await cpu_us(base, poll.naive, count, CLIENTS),
        )
        for _ in range(effort.rounds)
    ]
    ours, naively = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    alone, alone_naive, least = [
        await cpu_us(server, request, count)
        for server, request in ((status, poll.ours), (base, poll.naive), (floor, poll.ours))
    ]
    seen = (
        f"{ours:.0f} us instead of {naively:.0f}, {poll.state_bytes} bytes of state"
        f" (one at a time: {alone:.0f} and {alone_naive:.0f}, a constant 304 {least:.0f})"
    )
    return Figure(f"poll_cpu_vs_naive_{name}", round(ratio, 4), f"<= {MAX_CPU[name]}", seen)


async def cpu_us(
    server: Server, request: bytes, polls: int, clients: int = 1, status: int = NOT_MODIFIED
) -> float:
    """Return what one poll costs the server's process, after some to warm up."""
    load = Load(server.port, request, status)
    await load.times(polls // 5, clients)
    before, answered = server.cpu_seconds(), load.answered
    await load.times(polls, clients)
    return (server.cpu_seconds() - before) / (load.answered - answered) * 1e6


async def _commands(
    running: Parts, status: Server, polls: Mapping[str, Poll], count: int
) -> Figure:
    """Count what Redis runs for a poll; of the states' sizes the worst is told."""
    redis, seen = running.redis(), dict[str, float]()
    for name, poll in polls.items():
        before = await parts.commands_so_far(redis)
        await Load(status.port, poll.ours, NOT_MODIFIED).times(count)
        seen[name] = (await parts.commands_so_far(redis) - before).total() / count
    return Figure("redis_commands_per_poll", max(seen.values()), "== 1.0", str(seen))


async def _rate(running: Parts, status: Server, poll: Poll, effort: Effort) -> Figure:
    """Compare polls and raw commands a second, in turns, so that both meet the same machine."""
    gateway = Server(running.gateway_port, 0)
    pairs = [
        (
            await _per_second(gateway, poll.raw, OK, effort),
            await _per_second(status, poll.ours, NOT_MODIFIED, effort),
        )
        for _ in range(effort.rounds)
    ]
    raw, ours = (statistics.median(rates) for rates in zip(*pairs, strict=True))
    ratio = statistics.median(polls / commands for commands, polls in pairs)
    seen = f"{ours:.0f} polls a second, {raw:.0f} raw commands, {CLIENTS} clients"
    return Figure("polls_per_s_vs_raw", round(ratio, 3), ">= 0.5", seen)


async def _per_second(server: Server, request: bytes, status: int, effort: Effort) -> float:
    load = Load(server.port, request, status)
    return await load.for_seconds(CLIENTS, effort.round_seconds, WARM_UP_SECONDS)


async def _poll(running: Parts, ledger: UpstashRunLedger, state_bytes: int) -> Poll:
    """Make a flow that runs, and a copy of its state for the naive design."""
    flow = await course.launched(ledger, state_bytes)
    await course.claimed(ledger, flow, course.steps(state_bytes)[0])
    state = await ledger.state(TENANT, flow)
    text = json.dumps(state.public(), separators=(",", ":"))
    await running.redis().execute(["SET", naive.key(flow), text])
    tag = naive.etag(json.dumps(state.public(), sort_keys=True))
    return Poll(
        len(text),
        _get(f"/v1/flows/{flow}", running.bearer(), state.head.etag),
        _get(f"/hashed/v1/flows/{flow}", running.bearer(), tag),
        running.raw_request(["HMGET", Keyspace().flow(TENANT, flow), *records.HEAD_FIELDS]),
    )


def _get(path: str, authorization: str, etag: str) -> bytes:
    head = f"GET {path} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: {authorization}\r\n"
    return f"{head}Accept-Encoding: gzip, deflate, br\r\nIf-None-Match: {etag}\r\n\r\n".encode()


async def measured(running: Parts, effort: Effort) -> list[Figure]:
    """Return all figures."""
    naive_server = running.serve("naive", "benchmarks.naive:app")
    return [
        *await traffic(running, effort, naive_server),
        *await cost(running, effort, naive_server),
    ]


def main() -> None:
    """Measure and tell."""
    chosen = report.options(__doc__)
    with parts.running() as running:
        figures = parts.run(measured(running, QUICK if chosen.quick else FULL))
    report.tell(figures, as_json=chosen.json)


if __name__ == "__main__":
    main()

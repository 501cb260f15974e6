"""Streaming: how late, how complete and how cheap a flow's stream is, for one and for thousands.

python -m benchmarks.streaming --json
"""

import asyncio
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import course, listeners, parts, report
from benchmarks.listeners import Viewer
from benchmarks.parts import Parts, Server
from benchmarks.report import Figure
from core.adapters.upstash.ledger import UpstashRunLedger
from core.crews.ledger import Claim, StepWrite
from core.flows import events

API = "functions.flow_events:app"
CHANGE_BYTES = 2048
OVERHEAD_BYTES = 420  # of a change: what its events hold beside the text
GAP_SECONDS = 15.0  # between two changes of a flow that many watch
LIFE_MINUTES = 5.0  # of the streams whose commands are told
SETTLED_SECONDS, LOOK_SECONDS = 10.0, 0.002
MAX_COMMANDS = {1: 1.0, 100: 0.05}  # a viewer and minute, by viewers
JOINING = 50  # viewers that connect at once


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    publishes: int
    flows: int
    viewers: int
    seconds: float
    life_seconds: float  # of a stream whose commands are counted; two lives are
    change_seconds: float  # in which such a flow changes


FULL, QUICK = Effort(300, 20, 2000, 75.0, 20.0, 10.0), Effort(40, 4, 100, 4.0, 1.5, 0.75)


class Writer:
    """A worker that holds a step and writes."""

    def __init__(self, ledger: UpstashRunLedger, claim: Claim) -> None:
        self.flow = claim.flow
        self._ledger, self._claim = ledger, claim
        self._seq = 0
        self.number = 0  # of the last event

    async def change(self) -> None:
        """Change the state; 2 kB of events."""
        self._seq += 1
        told = events.custom("finding", "x" * (CHANGE_BYTES - OVERHEAD_BYTES))
        stamped = events.stamped(told, int(time.time() * 1000))
        write = StepWrite(stamped, error=f"attempt {self._seq}")
        self.number = await self._ledger.emit(self._claim, self._seq, course.LEASE_MS, write)


async def writing(running: Parts) -> Writer:
    """Return the writer of a new flow."""
    ledger = running.ledger()
    flow = await course.launched(ledger, CHANGE_BYTES)
    return Writer(ledger, await course.claimed(ledger, flow, course.steps(0)[0]))


async def latency(running: Parts, effort: Effort) -> list[Figure]:
    """Publish one change after the other to one viewer and one raw subscriber."""
    server, writer = running.serve("latency", API), await writing(running)
    viewer = await listeners.viewer(running, server, writer.flow, "viewer")
    raw = await listeners.raw(running, writer.flow)
    seen, heard = list[float](), list[float]()
    for publish in range(1, effort.publishes + 1):
        start = time.monotonic()
        await writer.change()
        await _until(lambda: viewer.number == writer.number)
        await _until(lambda count=publish: len(raw.arrivals) == count)
        seen.append((viewer.arrivals[-1] - start) * 1000)
        heard.append((raw.arrivals[-1] - start) * 1000)
    viewer.close()
    raw.close()
    running.processes.stop("latency")
    return _delays(seen, heard)


def _delays(seen: Sequence[float], heard: Sequence[float]) -> list[Figure]:
    p50, raw50 = statistics.median(seen), statistics.median(heard)
    p99, raw99 = (statistics.quantiles(times, n=100)[-1] for times in (seen, heard))
    return [
        Figure("p50_ms", round(p50, 3), seen=f"raw subscriber {raw50:.3f} ms"),
        Figure("p99_ms", round(p99, 3), seen=f"raw subscriber {raw99:.3f} ms"),
        Figure("p50_vs_raw", round(p50 / raw50, 3), "<= 2", f"{len(seen)} changes"),
    ]


async def crowd(running: Parts, effort: Effort) -> list[Figure]:
    """Let thousands watch; count what they saw, and the CPU time of the process that served them."""
    server, count = running.serve("crowd", API), effort.flows
    writers = [await writing(running) for _ in range(count)]
    viewers = await joined(running, server, writers, effort.viewers)
    used, start = server.cpu_seconds(), time.monotonic()
    gap = min(GAP_SECONDS, effort.seconds / 2)
    changing = [_changing(w, gap * n / count, gap, effort.seconds) for n, w in enumerate(writers)]
    await asyncio.gather(*changing)
    share = (server.cpu_seconds() - used) / (time.monotonic() - start)
    last = [writers[n % count].number for n in range(len(viewers))]
    await _until(lambda: [viewer.number for viewer in viewers] == last)
    running.processes.stop("crowd")
    return _crowded(viewers, last, share, effort)


def _crowded(
    viewers: Sequence[Viewer], last: Sequence[int], share: float, effort: Effort
) -> list[Figure]:
    missing = sum(number - viewer.number for viewer, number in zip(viewers, last, strict=True))
    lost = missing + sum(viewer.lost for viewer in viewers)
    seen, streams = sum(len(v.arrivals) for v in viewers), sum(v.streams for v in viewers)
    return [
        Figure("lost", lost, "== 0", f"{seen} events seen"),
        Figure("repeated", sum(v.repeated for v in viewers), "== 0", f"over {streams} streams"),
        Figure("viewers", len(viewers), f"== {effort.viewers}", f"of {effort.flows} flows"),
        Figure("cpu_share", round(share, 4), "<= 0.1", f"of one core, over {effort.seconds:g} s"),
    ]


async def joined(
    running: Parts, server: Server, writers: Sequence[Writer], count: int
) -> list[Viewer]:
    """Return so many viewers, each a subject of its own, spread over the flows."""
    viewers = list[Viewer]()
    for first in range(0, count, JOINING):
        viewers += await asyncio.gather(
            *[
                listeners.viewer(running, server, writers[n % len(writers)].flow, f"viewer-{n}")
                for n in range(first, min(first + JOINING, count))
            ]
        )
    return viewers


async def _changing(writer: Writer, wait: float, gap: float, seconds: float) -> None:
    """Change a flow after each gap until the time is over."""
    end = time.monotonic() + seconds
    await asyncio.sleep(wait)
    while (due := time.monotonic() + gap) < end + gap:
        await writer.change()
        await asyncio.sleep(due - time.monotonic())


async def commands(running: Parts, effort: Effort, count: int) -> Figure:
    """Count the commands of `count` viewers of one flow, over two lives of their streams.

    What the flow's own changes cost is counted before, without viewers, and taken off.
    """
    life = f"{effort.life_seconds}"
    server = running.serve(f"commands-{count}", API, CREWLINE_STREAM_SECONDS=life)
    alone, _ = await _counted(running, server, effort, 0)
    watched, streams = await _counted(running, server, effort, count)
    used = watched - alone
    a_life = used.total() / streams  # of one viewer
    seen = f"{dict(used)} for {streams} streams"
    key = f"redis_commands_per_viewer_minute_{count}"
    return Figure(key, round(a_life / LIFE_MINUTES, 4), f"<= {MAX_COMMANDS[count]}", seen)


async def _counted(
    running: Parts, server: Server, effort: Effort, count: int
) -> tuple[Counter[str], int]:
    """Return what Redis ran while so many viewers came, watched and came back once."""
    redis, writer = running.redis(), await writing(running)
    before = await parts.commands_so_far(redis)
    viewers = await joined(running, server, [writer], count)
    for _ in range(round(2 * effort.life_seconds / effort.change_seconds)):
        await writer.change()
        await asyncio.sleep(effort.change_seconds if count else 0)
    await _until(lambda: all(viewer.number == writer.number for viewer in viewers))
    ran = await parts.commands_so_far(redis) - before
    for viewer in viewers:
        viewer.close()
    return ran, sum(viewer.streams for viewer in viewers)


async def _until(holds: Callable[[], bool]) -> None:
    """Return when this holds, or after some seconds in which it should have."""
    end = time.monotonic() + SETTLED_SECONDS
    while not holds() and time.monotonic() < end:  # noqa: ASYNC110 -- a look at thousands, now and then
        await asyncio.sleep(LOOK_SECONDS)


def allow_connections() -> None:
    """Let this process and those it starts have as many files open as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def measured(running: Parts, effort: Effort) -> list[Figure]:
    """Return all figures."""
    return [
        *await latency(running, effort),
        *await crowd(running, effort),
        *[await commands(running, effort, count) for count in MAX_COMMANDS],
    ]


def main() -> None:
    """Measure and tell."""
    chosen = report.options(__doc__)
    allow_connections()
    with parts.running() as running:
        figures = parts.run(measured(running, QUICK if chosen.quick else FULL))
    report.tell(figures, as_json=chosen.json)


if __name__ == "__main__":
    main()

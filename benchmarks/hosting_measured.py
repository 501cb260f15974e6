"""What our code takes of a host, measured for the bills of `benchmarks.hosting`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import (
    cold_process,
    cold_start,
    course,
    growth_tenants,
    naive,
    parts,
    polling,
    streaming,
)
from benchmarks.cold_process import http_event
from benchmarks.hosting import Measured
from benchmarks.parts import TENANT, Parts
from benchmarks.traffic import FLOW_SECONDS, STREAM_SECONDS, Traffic
from core.identity import SCOPES

LAUNCH = {"crew": "research_brief", "inputs": {"question": "Why tea?", "notes": "It is warm."}}
CALL_SECONDS, PIECES = 1.5, 6  # a model that streams, as most do
STATE_BYTES = 2048
PAGE_MB = 4096 / 1e6


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    streaming: streaming.Effort
    viewers: int  # of the process whose memory is told
    invocations: int
    polls: int
    speed: float  # by which the 600 s of a stream are shortened


CROWD = streaming.Effort(0, 20, 1000, 45.0, 20.0, 10.0)
FULL = Effort(CROWD, 1000, 200, 2000, 20)
QUICK = Effort(streaming.QUICK, 100, 20, 100, 120)


async def measured(running: Parts, effort: Effort) -> Measured:
    """Measure all of it; what loads CrewAI comes last."""
    alone = await streaming.commands(running, effort.streaming, 1)
    crowded = await streaming.commands(running, effort.streaming, 100)
    crowd = {
        figure.key: figure.value for figure in await streaming.crowd(running, effort.streaming)
    }
    environ = running.environ
    return Measured(
        life_commands=alone.value * streaming.LIFE_MINUTES,
        flow_minute_commands=crowded.value * 100,
        viewer_cpu=crowd["cpu_share"] / crowd["viewers"],
        viewer_mb=await _viewer_mb(running, effort.viewers),
        viewer_minute_bytes=await _viewer_minute_bytes(running, effort.speed),
        **{
            f"{name}_ms": await cold_process.warm_ms(function, event, effort.invocations, environ)
            for name, (function, event) in (await _requests(running)).items()
        },
        sweep_commands=await growth_tenants.swept(running),
        naive_poll_ms=await _naive_poll_ms(running, effort.polls),
        **await _flow(running),
        cold_seconds=(await _cold(running)),
    )


async def _viewer_mb(running: Parts, viewers: int) -> float:
    """Return what one viewer more takes of a process' memory."""
    server, writer = running.serve("memory", streaming.API), await streaming.writing(running)
    first = await streaming.joined(running, server, [writer], 1)
    before = _memory_mb(server.pid)
    rest = await streaming.joined(running, server, [writer], viewers)
    after = _memory_mb(server.pid)
    for viewer in (*first, *rest):
        viewer.close()
    running.processes.stop("memory")
    return (after - before) / viewers


def _memory_mb(pid: int) -> float:
    """Return the memory that is a process' own (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


async def _viewer_minute_bytes(running: Parts, speed: float) -> float:
    life = f"{STREAM_SECONDS / speed}"
    server = running.serve("bytes", streaming.API, CREWLINE_STREAM_SECONDS=life)
    sent = await Traffic(running, running.ledger()).stream(server, speed)
    running.processes.stop("bytes")
    return sent.received / (FLOW_SECONDS / 60)


async def _requests(running: Parts) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return what Lambda handlers are invoked with: function and event."""
    flow = await course.launched(running.ledger(), STATE_BYTES)
    head = (await running.ledger().state(TENANT, flow)).head
    token = running.bearer(scopes=SCOPES)
    poll = http_event("GET", f"/v1/flows/{flow}", token, **{"if-none-match": head.etag})
    return {
        "poll": ("flow_status", poll),
        "launch": ("crew_launch", http_event("POST", "/v1/flows", token, LAUNCH)),
        "sweep": ("sweep", {}),
    }


async def _naive_poll_ms(running: Parts, polls: int) -> float:
    """Return the CPU time of a poll of the naive design."""
    server, flow = running.serve("naive", "benchmarks.naive:app"), "naive"
    await running.redis().execute(["SET", naive.key(flow), '{"text": "%s"}' % ("x" * STATE_BYTES)])
    request = f"GET /v1/flows/{flow} HTTP/1.1\r\nHost: api.example.com\r\n\r\n".encode()
    used = await polling.cpu_us(server, request, polls, status=polling.OK)
    running.processes.stop("naive")
    return used / 1000


async def _flow(running: Parts) -> dict[str, float]:
    """Return commands and CPU time of a flow of three steps, whose model streams."""
    from benchmarks import crew_commands  # noqa: PLC0415 -- it takes 8 s of CPU

    ours = crew_commands.office(running, crew_commands.a_model(CALL_SECONDS, PIECES))
    await crew_commands.a_flow(ours)  # now the server has the scripts
    before, began = await parts.commands_so_far(running.redis()), time.process_time()
    await crew_commands.a_flow(ours)
    used = time.process_time() - began
    ran = await parts.commands_so_far(running.redis()) - before
    return {"flow_commands": ran.total(), "flow_cpu_seconds": used}


async def _cold(running: Parts) -> float:
    """Return the seconds from a wake-up of a cold worker to its first step."""
    with cold_start.worker_environ(running) as environ:
        await cold_start.begun(running, environ)  # in which .pyc are written
        return (await cold_start.begun(running, environ)).step_seconds

"""Cold start: how long a fresh process takes to its first answer, against importing FastAPI or CrewAI.

python -m benchmarks.cold_start --json

What answers over HTTP runs from its own bundle, as hosts unpack it (`infra.bundles`, for x86-64), under the
hosts' Python; where there is none of that version, from this tree. The worker is of this tree, since
its bundle is an image. All have .pyc; each process is new, the store is real and over the gateway.
"""

import asyncio
import itertools
import statistics
import tempfile
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import cold_process, course, crew_flows, parts, report, warm_handlers
from benchmarks.cold_process import Code, Run, http_event, sqs_event
from benchmarks.parts import TENANT, Parts
from benchmarks.report import Figure
from core.adapters.crewai.environ import prepare_environ
from core.identity import SCOPES
from infra.bundles import build, packages
from infra.bundles.contents import BUNDLES

STATE_BYTES = 2048
WITH_FASTAPI = "crew_amp"  # whose bundle has what is compared with
MOST = {  # times what is imported: the function's first answer
    "flow_status": 0.55,
    "flow_events": 0.55,
    "crew_launch": 1.3,
    "cost_report": 1.3,
    "feedback": 1.3,
}
MOST_WORKER, MOST_STARTING_MS = 1.1, 1000


@dataclass(frozen=True, slots=True)
class Effort:
    """How often each is started; the worker, which loads CrewAI, less often."""

    starts: int
    workers: int
    invocations: int  # of a handler that is warm


FULL, QUICK = Effort(11, 11, 100), Effort(1, 1, 5)


async def events(running: Parts) -> dict[str, dict[str, Any]]:
    """Return a request for each function, which it answers after asking the store."""
    flow = await course.launched(running.ledger(), STATE_BYTES)
    token = running.bearer(scopes=SCOPES)
    launch = {"crew": "research_brief", "inputs": {"question": "Why tea?", "notes": "It is warm."}}
    said = {"task": "route", "context": {"text": "a bill"}, "action": "billing", "outcome": "right"}
    return {
        "flow_status": http_event("GET", f"/v1/flows/{flow}", token),
        "flow_events": http_event("GET", f"/v1/flows/{flow}/events", token),
        "crew_launch": http_event("POST", "/v1/flows", token, launch),
        "cost_report": http_event("GET", "/v1/costs", token),
        "feedback": http_event("POST", "/v1/feedback", token, said),
    }


async def answers(running: Parts, starts: int) -> list[Figure]:
    """Start each function and `import fastapi` in turns."""
    asked, environ = await events(running), running.environ
    base, ours = list[float](), dict[str, list[float]]()
    with bundled([*asked, WITH_FASTAPI]) as code:
        for turn in range(1 + starts):
            for name, event in asked.items():
                ran = await cold_process.invoked(name, event, environ, code[name])
                if turn:  # in that before, files are read into memory
                    ours.setdefault(name, []).append(ran.seconds)
            imported = await cold_process.imported("fastapi", environ, code[WITH_FASTAPI])
            base.append(imported.seconds)
    return [_ratio(name, ours[name], base, "fastapi", most) for name, most in MOST.items()]


@contextmanager
def bundled(functions: Collection[str]) -> Generator[dict[str, Code]]:
    """Make the bundles of functions, and yield what runs them; the tree where there is no such Python."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            python = str(build.target_python())
        except build.NoPythonError as error:
            print(f"{error}; measured from the tree, under the Python of this environment")
            yield dict.fromkeys(functions, cold_process.TREE)
            return
        for name in functions:
            build.build(BUNDLES[name], packages.TWIN, Path(folder), zips=False)
        print(f"measured from bundles, under {python}")
        yield {name: Code(python, Path(folder) / name) for name in functions}


def _ratio(key: str, ours: list[float], base: list[float], module: str, most: float) -> Figure:
    """Return the median of the ratios to what was imported right before a turn and right after it.

    Other work that comes or goes between two turns changes all three alike. `base` has one more.
    """
    around = map(statistics.mean, itertools.pairwise(base))
    ratio = statistics.median(one / other for one, other in zip(ours, around, strict=True))
    seen = (
        f"{statistics.median(ours) * 1000:.0f} ms, import {module}"
        f" {statistics.median(base) * 1000:.0f}; {len(ours)} starts"
    )
    return Figure(key, round(ratio, 3), f"<= {most}", seen)


async def worker(running: Parts, starts: int) -> list[Figure]:
    """Wake cold workers, in turns with `import crewai` under the same environment."""
    base, ours, starting = list[float](), list[float](), list[float]()
    with worker_environ(running) as environ:
        for turn in range(1 + starts):
            woken = await begun(running, environ)
            if turn:
                ours.append(woken.step_seconds)
                starting.append(woken.starting_seconds * 1000)
            base.append((await cold_process.imported("crewai", environ)).seconds)
    median = statistics.median(starting)
    spread = f"{min(starting):.0f} to {max(starting):.0f} ms"
    return [
        _ratio("crew_worker", ours, base, "crewai", MOST_WORKER),
        Figure("starting_ms", round(median, 1), f"<= {MOST_STARTING_MS}", spread),
    ]


@contextmanager
def worker_environ(running: Parts) -> Generator[dict[str, str]]:
    """Yield the environment of a worker with the offline model, in which CrewAI stays silent."""
    with tempfile.TemporaryDirectory() as home:
        environ = {**running.environ, "CREWLINE_MODEL": "offline"}
        prepare_environ(environ, home)
        yield environ


@dataclass(frozen=True, slots=True)
class Begun:
    """When a worker said that it starts and began its first step: from the start of its process."""

    starting_seconds: float
    step_seconds: float


async def begun(running: Parts, environ: Mapping[str, str]) -> Begun:
    """Wake a fresh process for a flow, as SQS does; both clocks are this machine's."""
    ledger, launch = running.ledger(), crew_flows.a_launch(crew_flows.short_crew())
    await ledger.create(TENANT, launch)
    event = sqs_event(TENANT, launch.flow)
    ran = await cold_process.invoked("crew_worker", event, environ)
    state = crew_flows.succeeded(await ledger.state(TENANT, launch.flow))
    return Begun(_after(ran, state.starting_ms), _after(ran, state.steps[0].started_ms))


def _after(ran: Run, at_ms: int | None) -> float:
    if at_ms is None:
        raise RuntimeError("the worker did not say that it starts")
    return at_ms / 1000 - ran.began


async def measured(running: Parts, effort: Effort) -> list[Figure]:
    """Return all figures."""
    return [
        *await answers(running, effort.starts),
        *await worker(running, effort.workers),
        *await warm_handlers.measured(running, await events(running), effort.invocations),
    ]


def main() -> None:
    """Measure and tell."""
    chosen = report.options(__doc__)
    with parts.running() as running:
        figures = asyncio.run(measured(running, QUICK if chosen.quick else FULL))
    report.tell(figures, as_json=chosen.json)


if __name__ == "__main__":
    main()

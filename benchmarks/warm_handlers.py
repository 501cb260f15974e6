"""How long a warm handler takes, as AWS' own runtime client for Python invokes it."""

import asyncio
import statistics
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.parts import Parts
from benchmarks.report import Figure
from tests.hosts.runtime_api import BUFFERING, RuntimeApi, running

WARM_UP = 3
SECONDS = 30.0
FAILED = 500


async def measured(
    store: Parts, asked: Mapping[str, Mapping[str, Any]], invocations: int
) -> list[Figure]:
    """Return the median time of each function, from the invocation to the whole answer."""
    return [
        await asyncio.to_thread(_one, store.environ, function, event, invocations)
        for function, event in asked.items()
    ]


def _one(
    environ: Mapping[str, str], function: str, event: Mapping[str, Any], invocations: int
) -> Figure:
    handler = f"functions.{function}.handler"
    with RuntimeApi() as api, running([*BUFFERING, handler], api, environ):
        for _ in range(WARM_UP):
            _seconds(api, event)
        times = [_seconds(api, event) * 1000 for _ in range(invocations)]
    spread = f"{min(times):.1f} to {max(times):.1f} ms, {invocations} invocations"
    return Figure(f"warm_p50_ms_{function}", round(statistics.median(times), 2), seen=spread)


def _seconds(api: RuntimeApi, event: Mapping[str, Any]) -> float:
    """Invoke once. Raises RuntimeError for an answer that is a failure."""
    start = time.perf_counter()
    answer = api.invoke(event).answer(SECONDS)
    took = time.perf_counter() - start
    if answer.status >= FAILED:
        raise RuntimeError(f"answered {answer.status}: {answer.body[:200]!r}")
    return took

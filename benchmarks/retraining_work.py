"""What benchmarks.retraining has done by processes of their own; each tells what it took as JSON.

python -m benchmarks.retraining_work store 1000000 FOLDER
python -m benchmarks.retraining_work retrain
"""

import asyncio
import json
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before numpy counts its threads

from benchmarks import learning_streams as streams  # noqa: E402
from core import bootstrap  # noqa: E402
from core.crews.clock import StoppableClock  # noqa: E402
from core.learning import changes  # noqa: E402
from core.learning.feedback import Entry, Feedback, lines  # noqa: E402
from core.learning.models.pointer import Pointer, Segment  # noqa: E402

TENANT, TASK = "bench", "route"
USERS = 20
HOST_SECONDS = 600  # for which serverless.yml lets a retraining run
OF_A_SEGMENT = 20_000  # feedbacks, some 6 MB


def requests(folder: Path, many: int) -> Iterator[Feedback]:
    """Yield requests with the right intent of each.

    Each has the first words of a real one and the last words of another of the same intent.
    """
    said: dict[str, list[list[str]]] = {}
    for event in streams.intents(folder, 0, sys.maxsize):
        said.setdefault(event.action, []).append(str(event.context["message"]).split())
    draw, intents = random.Random(1), sorted(said)
    for number in range(many):
        intent = draw.choice(intents)
        one, other, cut = draw.choice(said[intent]), draw.choice(said[intent]), draw.random()
        words = [*one[: round(cut * len(one))], *other[round(cut * len(other)) :]]
        context = {"agent": "assistant", "task": "route_request", "message": " ".join(words)}
        yield Feedback(f"{number}", context, intent, f"user {number % USERS}", at_ms=number)


async def store(many: int, folder: Path) -> dict[str, Any]:
    """Write feedback to segments, and a pointer that names them."""
    models, segments = bootstrap.model_store(), list[Segment]()
    entries = (Entry(number, one) for number, one in enumerate(requests(folder, many), 1))
    while part := list(islice(entries, OF_A_SEGMENT)):
        first, last = part[0].number, part[-1].number
        data = lines(part)
        segments.append(
            await models.save_segment(TENANT, TASK, data, generation=0, first=first, last=last)
        )
    await models.publish(TENANT, TASK, Pointer(1, segments=tuple(segments)), None)
    return {"segments": len(segments)}


async def retrain() -> dict[str, Any]:
    """Retrain; return CPU seconds, seconds, MB at most, and what came of it."""
    began, clock = time.monotonic(), StoppableClock(HOST_SECONDS)
    clock.stop()
    retrainer = bootstrap.retrainer(clock)
    outcome = await retrainer.retrain(TENANT, TASK)
    found = (await changes.current(retrainer.store, retrainer.log, TENANT, TASK)).pointer
    evaluated = found.evaluations[-1]
    return {
        "cpu_seconds": time.process_time(),
        "seconds": time.monotonic() - began,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "outcome": outcome,
        "left_out": found.versions[0].left_out,
        "events": evaluated.events,
        "right": evaluated.right / evaluated.events,
    }


async def main(command: str, *arguments: str) -> None:
    """Do what is asked, and tell of it."""
    if command == "store":
        many, folder = arguments
        told = await store(int(many), Path(folder))
    else:
        told = await retrain()
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""What Crewline adds to a crew: a flow from its launch to its end, against CrewAI's `kickoff`."""

import statistics
import time
from collections.abc import Sequence

from benchmarks.crew_parts import CREW, Kickoff, Office, SteadyModel, a_model, kicked_off, office
from benchmarks.parts import Parts
from benchmarks.report import Figure

WARM_UPS = 3


class DifferentWorkError(Exception):
    """The two sides did not ask the model the same, so their times cannot be compared."""


async def overhead(running: Parts, key: str, must_be: str, seconds: float, pairs: int) -> Figure:
    """Run pairs in turns, the first of a pair changing; compare the medians.

    Building the crew is part of our side, where each step builds its agent, and not of the bare
    one: `kickoff` alone is timed there. The ratio with it is told beside.
    """
    model = a_model(seconds)
    ours, bare = office(running, model), list[Kickoff]()
    await _same_work(ours, model)
    for _ in range(WARM_UPS if not seconds else 0):
        await _flow_seconds(ours)
        await kicked_off(model)
    flows = list[float]()
    for pair in range(pairs):
        if pair % 2:
            bare.append(await kicked_off(model))
        flows.append(await _flow_seconds(ours))
        if not pair % 2:
            bare.append(await kicked_off(model))
    return _figure(key, must_be, flows, bare)


async def _flow_seconds(ours: Office) -> float:
    start = time.perf_counter()
    flow = await ours.launch(CREW)
    await ours.run(flow)
    took = time.perf_counter() - start
    await ours.ended(flow)
    return took


async def _same_work(ours: Office, model: SteadyModel) -> None:
    """Have both sides ask the same, word for word."""
    model.asked.clear()
    await _flow_seconds(ours)
    asked = list(model.asked)
    model.asked.clear()
    await kicked_off(model)
    if asked != model.asked:
        raise DifferentWorkError(f"{asked}\n\nand CrewAI alone:\n\n{model.asked}")


def _figure(key: str, must_be: str, flows: Sequence[float], bare: Sequence[Kickoff]) -> Figure:
    flow = statistics.median(flows)
    ran = statistics.median(each.ran for each in bare)
    whole = statistics.median(each.built + each.ran for each in bare)
    low, _, high = statistics.quantiles(
        [one / other.ran for one, other in zip(flows, bare, strict=True)], n=4
    )
    seen = (
        f"{flow * 1000:.1f} ms a flow, kickoff {ran * 1000:.1f}, {len(bare)} pairs (quartiles of"
        f" their ratios {low:.3f} to {high:.3f}; with building the crew {flow / whole:.3f})"
    )
    return Figure(key, round(flow / ran, 3), must_be, seen)

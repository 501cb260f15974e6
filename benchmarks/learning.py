"""Learning: how well answers are, how sure they are, and what mistakes and changes cost.

python -m benchmarks.learning --json
"""

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from benchmarks import learning_streams as streams
from benchmarks import report
from benchmarks.learning_baselines import Bm25, Majority, Naive
from benchmarks.learning_streams import DATA, Event, Ours, Run, Student
from benchmarks.report import Figure
from core.learning.learner import Learner, concepts

T_95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t of so many orders
FROZEN_AT = 0.2  # of the stream
WINDOW = 200  # events of a moving mean
NEAR = 2.0  # points


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    orders: int  # of the intents, whose order is free
    intents: int  # events of each
    fields: int
    marks: dict[str, int]  # where the accuracy of the last 500 is told


FULL = Effort(5, 10_000, 10_000, {"clinc_1k": 1000, "clinc_5k": 5000, "clinc_10k": 10_000})
QUICK = Effort(1, 300, 300, {"clinc_300": 300})
BOUNDS = {"clinc_1k": ">= 69", "clinc_5k": ">= 90", "clinc_10k": ">= 93"}
BASELINES: dict[str, Callable[[], Student]] = {
    "majority": Majority,
    "naive, nearest over 0.7": Naive,
    "naive, nearest": lambda: Naive(threshold=-1),
    "vote by BM25": Bm25,
}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval; 0 for one value."""
    if len(values) == 1:
        return values[0], 0.0
    return mean(values), T_95[len(values)] * stdev(values) / math.sqrt(len(values))


def told(key: str, must_be: str, values: Sequence[float], beside: str = "") -> Figure:
    """Return the figure of several orders."""
    middle, half = interval(values)
    spread = f"+- {half:.2f} over {len(values)} orders" if len(values) > 1 else ""
    return Figure(key, round(middle, 2), must_be, ", ".join(filter(None, [spread, beside])))


@dataclass(frozen=True, slots=True)
class Live:
    """A stream learnt to its end, beside a model that has learnt nothing since a fifth of it."""

    run: Run
    frozen: Run

    @property
    def gain(self) -> float:
        """What the end is better than the beginning: last tenth less first tenth, in points."""
        tenth = len(self.run.right) // 10
        return 100 * float(self.run.right[-tenth:].mean() - self.run.right[:tenth].mean())

    @property
    def gain_error(self) -> float:
        """Half the width of that difference's 95 % interval, in one order."""
        tenth = len(self.run.right) // 10
        parts = (self.run.right[-tenth:], self.run.right[:tenth])
        return 100 * 1.96 * math.sqrt(sum(float(part.var()) / tenth for part in parts))

    @property
    def over_frozen(self) -> float:
        """What learning on was worth, in points."""
        after = self.run.right[-len(self.frozen.right) :]
        return 100 * float(after.mean() - self.frozen.right.mean())


class _Frozen(Ours):
    """Answers, and learns nothing."""

    def learn(self, event: Event) -> None:
        """Let it pass."""


def live(events: Sequence[Event]) -> Live:
    """Learn a stream; freeze a copy of the learner after a fifth of it."""
    student, copies = Ours(), list[tuple[int, Ours]]()

    def freeze(so_far: int) -> None:
        if not copies and so_far >= FROZEN_AT * len(events):
            copies.append((so_far, _Frozen(Learner(student.learner.model(1)))))

    whole = streams.run(events, student, freeze)
    start, frozen = copies[0]
    return Live(whole, streams.run(events[start:], frozen))


def fields_figures(events: Sequence[Event], found: Live) -> list[Figure]:
    """Tell of the mapping of columns."""
    seen: set[str] = set()
    is_new: list[bool] = []
    for event in events:
        column = str(event.context["column"]).lower()
        is_new.append(column not in seen)
        seen.add(column)
    unseen = 100 * float(found.run.right[np.array(is_new)].mean())
    return [
        told("oa_aulc", ">= 96", [found.run.accuracy]),
        told("oa_first100", ">= 93", [found.run.last(100, 100)]),
        told("oa_unseen", ">= 82", [unseen], f"{100 * mean(is_new):.1f} % of events"),
    ]


def intents_figures(runs: Sequence[Live], effort: Effort) -> list[Figure]:
    """Tell of the routing of requests."""
    return [
        *[
            told(key, BOUNDS.get(key, ""), [one.run.last(end, 500) for one in runs])
            for key, end in effort.marks.items()
        ],
        told("clinc_aulc", ">= 87" if effort is FULL else "", [one.run.accuracy for one in runs]),
    ]


def confidence_figures(fields: Live, intents: Sequence[Live]) -> list[Figure]:
    """Tell whether confidence is what it says."""
    errors = [fields.run.calibration_error, mean(one.run.calibration_error for one in intents)]
    share, precision = zip(fields.run.coverage, intents[0].run.coverage, strict=True)
    return [
        Figure(
            "ece",
            round(max(errors), 4),
            "<= 0.02",
            f"fields {errors[0]:.4f}, intents {errors[1]:.4f}",
        ),
        Figure(
            "coverage_at_95",
            round(min(share), 3),
            seen=f"fields {share[0]:.3f} of precision {precision[0]:.3f},"
            f" intents {share[1]:.3f} of {precision[1]:.3f}",
        ),
    ]


def improves(fields: Live, intents: Sequence[Live]) -> Figure:
    """Tell whether the end is surely better than the beginning, and than a frozen model; in both data sets."""
    gain, error = interval([one.gain for one in intents])
    gains = {
        "fields": (fields.gain, fields.gain_error, fields.over_frozen),
        "intents": (
            gain,
            error or intents[0].gain_error,
            min(one.over_frozen for one in intents),
        ),
    }
    holds = all(gain > error and over > 0 for gain, error, over in gains.values())
    seen = "; ".join(
        f"{name} {gain:.1f} +- {error:.1f} points, {over:.1f} over the frozen model"
        for name, (gain, error, over) in gains.items()
    )
    return Figure("improves", float(holds), "== 1", seen)


def noise(fields: Sequence[Event], intents: Sequence[Event], clean: Sequence[Run]) -> Figure:
    """Measure what a fifth of wrong feedback costs; of the four cases the worst is told."""
    lost = {
        f"{name} {'one action' if one else 'random'}": before.accuracy
        - streams.run(streams.noisy(events, 1, one=one), Ours()).accuracy
        for name, events, before in zip(
            ("fields", "intents"), (fields, intents), clean, strict=True
        )
        for one in (False, True)
    }
    seen = ", ".join(f"{name} {points:.2f}" for name, points in lost.items())
    return Figure("noise20_loss", round(max(lost.values()), 2), "<= 3", seen)


def drift(fields: Sequence[Event], intents: Sequence[Event], clean: Sequence[Run]) -> list[Figure]:
    """Measure how soon it is back after a change, and what being ready for it costs without one."""
    back = [
        recovery(before, streams.run(streams.drifting(events, 1), Ours()))
        for events, before in zip((fields, intents), clean, strict=True)
    ]
    with never_moving():
        rigid = [streams.run(events, Ours()).accuracy for events in (fields, intents)]
    cost = [one - before.accuracy for one, before in zip(rigid, clean, strict=True)]
    return [
        Figure(
            "drift_recovery", max(back), "<= 1000", f"fields {back[0]}, intents {back[1]} events"
        ),
        Figure(
            "drift_cost",
            round(max(cost), 2),
            "<= 0.3",
            f"fields {cost[0]:.2f}, intents {cost[1]:.2f}",
        ),
    ]


def recovery(clean: Run, drifted: Run) -> int:
    """Return after how many events the next 200 are within 2 points of the stream without drift."""
    half = len(clean.right) // 2
    for start in range(half, len(clean.right) - WINDOW + 1):
        window = slice(start, start + WINDOW)
        if 100 * (clean.right[window].mean() - drifted.right[window].mean()) <= NEAR:
            return start - half
    return len(clean.right) - half


@contextmanager
def never_moving() -> Generator[None]:
    """Have no concept move, as if drift were not watched for."""
    before, concepts.THRESHOLD = concepts.THRESHOLD, math.inf
    try:
        yield
    finally:
        concepts.THRESHOLD = before


def baselines(fields: Sequence[Event], intents: Sequence[Event]) -> None:
    """Print what other designs reach on the same streams."""
    for name, make in BASELINES.items():
        one, other = (streams.run(events, make()).accuracy for events in (fields, intents))
        print(f"baseline: {name:24} fields {one:5.1f}, intents {other:5.1f}", flush=True)


def measure(effort: Effort, folder: Path) -> list[Figure]:
    """Measure all."""
    fields = streams.fields(folder, effort.fields)
    intents = [streams.intents(folder, seed, effort.intents) for seed in range(effort.orders)]
    baselines(fields, intents[0])
    mapping, routing = live(fields), [live(events) for events in intents]
    clean = [mapping.run, routing[0].run]
    return [
        *fields_figures(fields, mapping),
        *intents_figures(routing, effort),
        *confidence_figures(mapping, routing),
        improves(mapping, routing),
        noise(fields, intents[0], clean),
        *drift(fields, intents[0], clean),
    ]


def main() -> None:
    """Run the benchmark."""
    options = report.options(__doc__, data=DATA)
    figures = measure(QUICK if options.quick else FULL, options.data)
    report.tell(figures, as_json=options.json)


if __name__ == "__main__":
    main()

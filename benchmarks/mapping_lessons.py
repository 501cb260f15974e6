"""What lessons are worth to `import_mapping`: F1 with them and without, file after file.

    python -m benchmarks.mapping_lessons [--json] [--quick] [--data FOLDER]

A file is mapped, what was decided is learnt as the agent's word, a person corrects each column that is
wrong, and the next file is mapped; so for a fixed random sample of the orders. Once all files are
different; and once each is delivered three times, every third row each time, as sources deliver again. Of
these it also counts the columns that somebody has corrected and that a later delivery maps wrong again.

The six address files are those of the crew. `--data` takes a folder of others, each `NAME.csv` with
`NAME.json`: `truth` (column -> field), and `plain` and `rich`, two targets. Which contexts and which
rule were chosen, was chosen on the address files and looked at on the others.
"""

import asyncio
import io
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.report import Figure, options, tell
from core.adapters.memory.learners import memory_learners
from core.crews.lessons import lessons_of
from core.learning.feedback import Feedback
from core.learning.patterns import Kind
from crews.import_mapping import column_decisions
from crews.import_mapping.evidence import Column, column
from crews.import_mapping.matching import propose, review
from crews.import_mapping.profile import profile_csv
from infra.mapping_score import CREW, Score, default_target, score, truths

EXPORTS = Path(__file__).parent / "data" / "exports"
ORDERS, QUICK = 12, 3
DELIVERIES = 3
TENANT = "benchmark"

Entries = list[dict[str, Any]]
Change = tuple[str, str, str | None, str | None, str]  # file, column, before, after, which lesson


@dataclass(frozen=True)
class File:
    """A file to map, and what a person decided of it. What needs no lesson is worked out once."""

    name: str
    columns: Sequence[Column]
    target: Mapping[str, Any]
    truth: Mapping[str, str]
    decisions: Sequence[column_decisions.ColumnDecision] = field(init=False)
    unlearnt: Entries = field(init=False)

    def __post_init__(self) -> None:
        decisions = column_decisions.of_columns(self.columns, self.target)
        object.__setattr__(self, "decisions", decisions)
        object.__setattr__(self, "unlearnt", self.mapped(()))

    def mapped(self, lessons: Sequence[str]) -> Entries:
        """Return the mapping that an agent comes to who is told these lessons."""
        proposed = propose(self.columns, self.target, lessons)
        return review(self.columns, self.target, proposed, lessons)

    def wrong(self, entries: Entries) -> set[str]:
        """Return the columns that a mapping has wrong."""
        said = column_decisions.decided({"columns": entries})
        nothing = column_decisions.NOTHING
        return {about for about, action in said.items() if action != self.truth.get(about, nothing)}

    def score(self, entries: Entries) -> Score:
        """Score a mapping."""
        return score(entries, self.truth)


@dataclass
class Seen:
    """What was seen over all orders: of each the mean F1 without and with lessons; what changed."""

    without: list[float] = field(default_factory=list[float])
    learnt: list[float] = field(default_factory=list[float])
    lapses: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    changes: Counter[Change] = field(default_factory=Counter[Change])

    @property
    def gain(self) -> tuple[float, float]:
        """How much better, in points of F1, and half the width of the 95 % interval of that."""
        gains = [after - before for before, after in zip(self.without, self.learnt, strict=True)]
        return fmean(gains), 1.96 * stdev(gains) / len(gains) ** 0.5


async def course(files: Sequence[File], seen: Seen) -> None:
    """Map files in this order, each with the lessons of those before it."""
    learners, without, learnt = memory_learners(), list[float](), list[float]()
    corrected = set[tuple[str, str]]()
    for number, file in enumerate(files):
        memory = column_decisions.memory({"target": file.target})
        told = await lessons_of(learners, TENANT, column_decisions, memory, file.decisions)
        entries = file.mapped([each.text for each in told]) if told else file.unlearnt
        without.append(file.score(file.unlearnt).f1)
        learnt.append(file.score(entries).f1)
        seen.changes.update(changes(file, entries))
        wrong = {(file.name, about) for about in file.wrong(entries)}
        seen.lapses.update(wrong & corrected)
        corrected |= wrong
        await learners.learn(TENANT, memory, list(feedback(file, entries, number)))
    seen.without.append(fmean(without))
    seen.learnt.append(fmean(learnt))


def feedback(file: File, entries: Entries, number: int) -> Iterator[Feedback]:
    """Yield what was decided, as the agent's word, then a person's on what is wrong of it."""
    said, decisions = column_decisions.decided({"columns": entries}), file.decisions
    for at, each in enumerate(decisions):
        name = f"{number}/{at}"
        if each.teaches:
            yield Feedback(name, each.context, said[each.about], "import_mapping", kind=Kind.AGENT)
    for at, each in enumerate(decisions):
        right = file.truth.get(each.about, column_decisions.NOTHING)
        if said[each.about] != right:
            yield Feedback(f"{number}/{at}/ann", each.context, right, "ann")


def changes(file: File, entries: Entries) -> Iterator[Change]:
    """Yield what is another field than without lessons, and the reason, which names the lesson."""
    for before, after in zip(file.unlearnt, entries, strict=True):
        if before["field"] != after["field"]:
            why = after["reason"].partition("lesson ")[2]
            yield file.name, after["column"], before["field"], after["field"], why


def read(path: Path, target: Mapping[str, Any], truth: Mapping[str, str]) -> File:
    """Read a whole file."""
    return _file(path.name, path.read_bytes(), target, truth)


def _file(name: str, data: bytes, target: Mapping[str, Any], truth: Mapping[str, str]) -> File:
    found = asdict(profile_csv(io.BytesIO(data)))
    return File(name, [column(each, found["rows"]) for each in found["columns"]], target, truth)


def deliveries(path: Path, target: Mapping[str, Any], truth: Mapping[str, str]) -> list[File]:
    """Read a file as three, with every third row each."""
    head, *rows = path.read_bytes().splitlines(keepends=True)
    rows = [row for row in rows if row.strip()]
    parts = (head + b"".join(rows[start::DELIVERIES]) for start in range(DELIVERIES))
    return [_file(path.name, part, target, truth) for part in parts]


def sets(folder: Path) -> Iterator[tuple[str, list[tuple[Path, Any, Any]]]]:
    """Yield sets of files by name: path, target and truth of each."""
    examples, target = CREW / "examples", default_target()
    yield "addresses", [(examples / name, target, truth) for name, truth in truths().items()]
    described = [
        (path.with_suffix(".csv"), json.loads(path.read_text("utf-8")))
        for path in sorted(folder.glob("*.json"))
    ]
    for kind in ("plain", "rich"):
        yield f"exports_{kind}", [(path, each[kind], each["truth"]) for path, each in described]


def run(files: Sequence[File], orders: int) -> Seen:
    """Map the files in so many random orders, which are the same each time."""
    seen, draw = Seen(), random.Random(7)  # noqa: S311 -- a repeatable sample, no secret
    for _ in range(orders):
        asyncio.run(course(draw.sample(files, len(files)), seen))
    return seen


def figures(name: str, seen: Seen) -> Iterator[Figure]:
    """Yield how good mapping is without lessons and with them, and by how much better."""
    gain, half = seen.gain
    yield Figure(f"{name}_without", round(fmean(seen.without), 4))
    yield Figure(f"{name}_learnt", round(fmean(seen.learnt), 4))
    shown = f"{gain:+.4f} +- {half:.4f} over {len(seen.learnt)} orders"
    yield Figure(f"{name}_gain", round(gain, 4), ">= 0", shown)
    if name.endswith("_again"):
        yield Figure(f"{name}_wrong_again", seen.lapses.total(), "<= 0")


def show(files: Sequence[File], seen: Seen) -> None:
    """Print the changed decisions, each with the lesson that moved it."""
    truth = {file.name: file.truth for file in files}
    grouped: dict[tuple[str, str, str | None, str | None], list[str]] = {}
    for (name, about, before, after, why), _ in seen.changes.most_common():
        grouped.setdefault((name, about, before, after), []).append(why)
    for (name, about), often in seen.lapses.most_common():
        print(f"    {often:3} x {name:26} {about:24} wrong again after a correction")
    for (name, about, before, after), whys in grouped.items():
        right = truth[name].get(about)
        verdict = "right" if after == right else "WRONG" if before == right else "as wrong"
        often = sum(n for change, n in seen.changes.items() if change[:2] == (name, about))
        moved = f"{before or '-'} -> {after or '-'}"
        print(f"    {often:3} x {name:26} {about:24} {moved:28} {verdict:8} lesson {whys[0]}")


def main() -> None:
    """Print a table for each set of files."""
    chosen = options(__doc__, EXPORTS)
    orders, found = QUICK if chosen.quick else ORDERS, list[Figure]()
    for name, members in sets(chosen.data):
        whole = [read(*each) for each in members]
        again = [part for each in members for part in deliveries(*each)]
        for kind, files in ((name, whole), (f"{name}_again", again)):
            seen = run(files, orders)
            print(
                f"{kind}: {len(files)} files, F1 {fmean(seen.without):.3f} -> {fmean(seen.learnt):.3f}"
            )
            show(files, seen)
            found += figures(kind, seen)
    tell(found, as_json=chosen.json)


if __name__ == "__main__":
    main()

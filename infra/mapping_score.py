"""How right a mapping is: precision, recall and F1 over all columns of a file.

`python -m infra.mapping_score` prints them for the example files, mapped by the offline model's
skill without lessons. With the name of a crew, such as `import_mapping_consensus`, that crew maps
them, step by step through CrewAI on the offline model.
"""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from core.crews.definition import Registry
from crews.import_mapping.evidence import column
from crews.import_mapping.matching import propose, review
from crews.import_mapping.profile import profile_csv

FILE = "in_" + "0" * 32
CREW = Path(__file__).parent.parent / "crews" / "import_mapping"


@dataclass(frozen=True)
class Score:
    """A pair of column and field is right if the truth has it; null claims nothing."""

    right: int
    claimed: int
    wanted: int

    @property
    def precision(self) -> float:
        return self.right / self.claimed if self.claimed else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.right / (self.claimed + self.wanted) if self.wanted else 0.0


def score(mapping: Iterable[Mapping[str, Any]], truth: Mapping[str, str]) -> Score:
    """Score entries with `column` and `field` against a truth of column -> field."""
    claimed = {(entry["column"], entry["field"]) for entry in mapping if entry["field"]}
    wanted = set(truth.items())
    return Score(len(claimed & wanted), len(claimed), len(wanted))


def truths() -> dict[str, dict[str, str]]:
    """The example files and what a person decided for their columns."""
    return json.loads((CREW / "examples" / "truth.json").read_text("utf-8"))["files"]


def default_target() -> dict[str, Any]:
    """The target schema that the crew falls back to."""
    crew = Registry(CREW.parent).get(CREW.name)
    return crew.inputs["properties"]["target"]["default"]


def map_file(path: Path, target: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Profile, propose and review a file as the offline model does, without lessons."""
    with path.open("rb") as stream:
        profile = asdict(profile_csv(stream))
    columns = [column(entry, profile["rows"]) for entry in profile["columns"]]
    return review(columns, target, propose(columns, target))


def play_file(crew: str, path: Path) -> tuple[list[dict[str, Any]], str]:
    """Have a crew map a file; return the mapping, and how it was come to."""
    from infra.dry_run import dry_run  # noqa: PLC0415 -- CrewAI takes seconds to load

    results, output = asyncio.run(dry_run(crew, {"file": FILE}, {FILE: path.read_bytes()}))
    how = f"{len(results)} steps"
    if "answer" in output:
        how += f", agreement {output['agreement']:.2f} in round {output['rounds']}"
        output = output["answer"]
    return output["columns"], how


def main(crew: str | None) -> None:
    target, scores = default_target(), list[Score]()
    for name, truth in truths().items():
        path, how = CREW / "examples" / name, ""
        if crew is None:
            mapping = map_file(path, target)
        else:
            mapping, how = play_file(crew, path)
        scores.append(score(mapping, truth))
        its = scores[-1]
        print(
            f"{name:24} P {its.precision:.2f}  R {its.recall:.2f}  F1 {its.f1:.2f}  {how}".rstrip()
        )
    print(f"{'mean F1':24} {fmean(its.f1 for its in scores):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:2] or [None])

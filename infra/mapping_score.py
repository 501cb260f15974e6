"""How right a mapping is: precision, recall and F1 over all columns of a file.

`python -m infra.mapping_score` prints them for the example files, mapped by the offline model's
skill without lessons.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from crews.import_mapping.evidence import column
from crews.import_mapping.matching import propose, review
from crews.import_mapping.profile import profile_csv

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
    crew = yaml.safe_load((CREW / "crew.yaml").read_text("utf-8"))
    return crew["inputs"]["properties"]["target"]["default"]


def map_file(path: Path, target: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Profile, propose and review a file as the offline model does, without lessons."""
    with path.open("rb") as stream:
        profile = asdict(profile_csv(stream))
    columns = [column(entry, profile["rows"]) for entry in profile["columns"]]
    return review(columns, target, propose(columns, target))


def main() -> None:
    target, scores = default_target(), list[Score]()
    for name, truth in truths().items():
        scores.append(score(map_file(CREW / "examples" / name, target), truth))
        its = scores[-1]
        print(f"{name:24} P {its.precision:.2f}  R {its.recall:.2f}  F1 {its.f1:.2f}")
    print(f"{'mean F1':24} {fmean(its.f1 for its in scores):.3f}")


if __name__ == "__main__":
    main()

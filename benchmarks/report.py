"""How a benchmark tells what it saw: lines for a person, then one JSON object for a program."""

import argparse
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HOLDS = {">=": operator.ge, "<=": operator.le, "==": operator.eq}


@dataclass(frozen=True, slots=True)
class Figure:
    """One result: what was measured, what it must be (`>= 0.97`; nothing where it has no bound)."""

    key: str
    value: float
    must_be: str = ""
    seen: str = ""  # the measurements behind it

    @property
    def met(self) -> bool:
        """Whether the value, as it is printed, is within the bound."""
        relation, _, bound = self.must_be.partition(" ")
        return not relation or HOLDS[relation](self.value, float(bound))

    def line(self) -> str:
        """The figure for a person."""
        verdict = "" if not self.must_be else "met" if self.met else "MISSED"
        return f"{self.key:34} {self.value:>9g}  {self.must_be:10} {verdict:7} {self.seen}".rstrip()


THOUSAND = 1000


def short(number: int) -> str:
    """Return a number as keys have it: `10k`."""
    return f"{number // THOUSAND}k" if number >= THOUSAND else str(number)


def options(description: str | None, data: Path | None = None) -> argparse.Namespace:
    """Read `--json` and `--quick` from the command line; `--data` of what reads files of a folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--json", action="store_true", help="end with all figures as one line of JSON"
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds only: rough figures")
    if data:
        parser.add_argument("--data", type=Path, default=data, help="a folder with other data")
    return parser.parse_args()


def tell(figures: Sequence[Figure], *, as_json: bool) -> None:
    """Print the figures."""
    for figure in figures:
        print(figure.line())
    if as_json:
        print(json.dumps({figure.key: figure.value for figure in figures}))

"""What was learnt of earlier files, as lines of a prompt, and how much a line moves the evidence.

    column "ST_NUM" -> number                             a person's rule: it decides
    column "BOKST" -> unit (said of it before; lesson import_mapping-1c2f3a4b/17)
    column "BOKST" -> unit (0.98 sure, 0.02 without its name; lesson import_mapping-1c2f3a4b/17)

The second kind is what somebody said of a column of this name, of which the evidence proposed the
same: it holds against all evidence. The third kind weighs. `sure` is how often such an answer was right, `usual` the same of a column of
which all but the name is known. What a name adds to that is the odds of the one over the odds of the
other, and by these the odds of the evidence are multiplied, as for any witness who heard what the
others heard (naive Bayes). So a name that was never met changes nothing, and no constant is chosen.
Of a pair for which nothing spoke, the lesson alone speaks. What the schema rules out stays ruled out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crews.import_mapping.names import words

NOTHING = "nothing"
_WORD = re.compile(r"[\w-]+")
_NO_FIELD = frozenset({NOTHING, "null", "none"})
CERTAIN = 0.999  # odds beyond are none
_LINE = re.compile(
    r'column "(?P<column>[^"\n]+)" -> (?:"(?P<quoted>[^"\n]+)"|(?P<field>[\w-]+))'
    r"(?: \((?:said of it before|(?P<sure>[01]\.\d+) sure, (?P<usual>[01]\.\d+) without its name); "
    r"lesson (?P<id>\S+)\))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learnt of a column; `field` is None for nothing. A rule has no `id`, and decides.

    What somebody said of this very column has an `id` and no `usual`.
    """

    column: str
    field: str | None
    sure: float = CERTAIN
    usual: float | None = None
    id: str = ""

    @property
    def decides(self) -> bool:
        return not self.id

    @property
    def odds(self) -> float:
        """By how much it multiplies the odds of its field."""
        return _odds(self.sure) / (1.0 if self.usual is None else _odds(self.usual))

    def moved(self, score: float, field: str) -> float:
        """Return what the evidence for a field is worth with this lesson; 0 is no evidence."""
        if field == self.field:
            return _of_odds(_odds(score) * self.odds) if score else self.sure
        if self.usual is None:
            return 0.0
        return _of_odds(_odds(score) / self.odds) if score else 0.0

    def told(self) -> str:
        """Say so, in the reason of a decision."""
        how = "said of it before" if self.usual is None else f"{self.sure:.2f} sure"
        return f"lesson {self.id} says {self.field or NOTHING} ({how})"


def line(lesson: Lesson) -> str:
    """Return a lesson as a line of a prompt."""
    field = lesson.field or NOTHING
    shown = field if _WORD.fullmatch(field) else f'"{field}"'
    rule = f'column "{lesson.column}" -> {shown}'
    if lesson.decides:
        return rule
    if lesson.usual is None:
        return f"{rule} (said of it before; lesson {lesson.id})"
    weight = f"{lesson.sure:.3f} sure, {lesson.usual:.3f} without its name"
    return f"{rule} ({weight}; lesson {lesson.id})"


def read(lines: Iterable[str], columns: Iterable[str], fields: Sequence[str]) -> list[Lesson]:
    """Return the lessons about these columns and fields, of each column the last.

    Names are the same whatever their case and punctuation.
    """
    known: Mapping[str, str] = {name.casefold(): name for name in fields}
    named: dict[str, list[str]] = {}
    for column in columns:
        named.setdefault(plain(column), []).append(column)
    found: dict[str, Lesson] = {}
    for match in filter(None, map(_LINE.search, lines)):
        field = (match["quoted"] or match["field"]).casefold()
        if field not in known and field not in _NO_FIELD:
            continue
        for column in named.get(plain(match["column"]), ()):
            found[column] = _lesson(column, known.get(field), match)
    return list(found.values())


def _lesson(column: str, field: str | None, match: re.Match[str]) -> Lesson:
    if match["sure"] is None:
        return Lesson(column, field, id=match["id"] or "")
    return Lesson(column, field, float(match["sure"]), float(match["usual"]), match["id"])


def plain(name: str) -> str:
    """Return a name without case and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold()) or name


def spelled(name: str) -> str:
    """Return a name's words, which files of one source share whatever their case: `st num`."""
    return " ".join(words(name)) or name


def _odds(share: float) -> float:
    share = min(max(share, 1 - CERTAIN), CERTAIN)
    return share / (1 - share)


def _of_odds(odds: float) -> float:
    return odds / (1 + odds)

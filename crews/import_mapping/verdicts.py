"""What became of each column, how sure that is, and why, in words; a lesson that moved it is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crews.import_mapping.evidence import Column, Fit, fit, obstacle
from crews.import_mapping.lessons import Lesson
from crews.import_mapping.target import Field

ACCEPTED = 0.5
LEARNED = 0.97
COMPOSED = 0.9


@dataclass(frozen=True)
class Mapped:
    """The verdict on one column; `field` is None where it maps to nothing."""

    column: str
    field: str | None
    confidence: float
    reason: str


@dataclass(frozen=True)
class Verdicts:
    """What became of each column, and why."""

    chosen: Mapping[str, Fit]
    reasons: Mapping[str, str]
    wanted: Sequence[Field]
    lessons: Mapping[str, Lesson]
    columns: Sequence[Column]

    def on(self, column: Column) -> Mapped:
        option = self.chosen.get(column.name)
        if option:
            sure, freed = round(min(option.score, LEARNED), 2), self._freed(option.field)
            return Mapped(column.name, option.field, sure, f"{option.reason}{freed}")
        if column.name in self.reasons:
            return Mapped(column.name, None, COMPOSED, self.reasons[column.name])
        rival = best_of([option for field in self.wanted if (option := fit(column, field))])
        lesson = self.lessons.get(column.name)
        if rival and lesson and lesson.moved(rival.score, rival.field) < ACCEPTED <= rival.score:
            return Mapped(column.name, None, round(lesson.sure, 2), lesson.told())
        return self._without(column, rival)

    def _without(self, column: Column, rival: Fit | None) -> Mapped:
        """Return the verdict on a column that no field takes."""
        doubt = min(rival.score, LEARNED) if rival else 0.0
        if doubt < ACCEPTED and (found := obstacle(column, self.wanted)):
            return Mapped(column.name, None, round(1 - found[1] / 2, 2), found[0])
        reason = "no field fits it well"
        if rival and doubt >= ACCEPTED:
            reason = f"another column fits better{self._lesson_of(rival.field)}"
        return Mapped(column.name, None, round(min(1 - doubt, LEARNED), 2), reason)

    def _lesson_of(self, field: str) -> str:
        """Name the lesson that gave a field to another column, if one did."""
        taking = (name for name, option in self.chosen.items() if option.field == field)
        told = (self.lessons[name].told() for name in taking if name in self.lessons)
        return "".join(f", as {each}" for each in told)

    def _freed(self, field: str) -> str:
        """Name the lessons that took a field from other columns."""
        wanted = next(each for each in self.wanted if each.name == field)
        away = (
            self.lessons[column.name]
            for column in self.columns
            if column.name in self.lessons and self.lessons[column.name].field != field
        )
        named = {column.name: column for column in self.columns}
        lost = (each for each in away if _loses(named[each.column], wanted, each))
        return "".join(f"; {each.column} is none, as {each.told()}" for each in lost)


def _loses(column: Column, field: Field, lesson: Lesson) -> bool:
    """Tell whether a column would feed a field but for a lesson."""
    option = fit(column, field)
    if option is None:
        return False
    return lesson.moved(option.score, field.name) < ACCEPTED <= option.score


def best_of(options: Sequence[Fit]) -> Fit | None:
    """Return the option that scores most, if there is one."""
    return max(options, key=lambda option: option.score, default=None)

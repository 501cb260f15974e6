"""Which column feeds which field: reasoning without a model, from what an agent's prompt holds.

1. Evidence is weighed for each column and field (evidence.py).
2. A lesson moves it, as far as it is to be believed; a person's rule decides (lessons.py).
3. A column that only says again what columns of several fields say maps to nothing.
4. A column put together from parts of one field is that field, and the parts are left out.
5. Words of a full address that no other field explains belong to the field that takes parts.
6. Every other field takes one column; together they are chosen for the greatest total score.
7. Of columns whose names differ in a two-letter ending (a language), the first filled is taken.
8. Of parts that say the same, the first is kept; empty parts need a filled one beside them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from scipy.optimize import linear_sum_assignment

from crews.import_mapping import lessons as taught
from crews.import_mapping.cpu_limit import cpu_limit
from crews.import_mapping.evidence import Column, Fit, broken, fit
from crews.import_mapping.lessons import Lesson
from crews.import_mapping.relations import composites, repeats, twins
from crews.import_mapping.target import Field, fields
from crews.import_mapping.verdicts import ACCEPTED, COMPOSED, LEARNED, Mapped, Verdicts, best_of

CPU_SECONDS = 20.0  # a file of 500 columns takes 5
EXPLAINED = 0.6

Fits = dict[str, list[Fit]]


@dataclass(frozen=True)
class Proposal:
    """A mapping; `aside` are the columns that feed nothing since others say what they say."""

    entries: list[dict[str, Any]]
    aside: frozenset[str]


def propose(
    columns: Sequence[Column], target: Mapping[str, Any], lessons: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """One entry per column, in the file's order: column, field or None, confidence, reason.

    Raises TooMuchWork.
    """
    return proposal(columns, target, lessons).entries


def proposal(
    columns: Sequence[Column], target: Mapping[str, Any], lessons: Iterable[str] = ()
) -> Proposal:
    """Return what `propose` does, and what of it is so because of other columns."""
    with cpu_limit(CPU_SECONDS):
        return _propose(columns, fields(target), lessons)


def _propose(columns: Sequence[Column], wanted: Sequence[Field], lines: Iterable[str]) -> Proposal:
    lessons = _lessons(columns, wanted, lines)
    ruled = _ruled(lessons)
    fits = {
        column.name: _fits(column, wanted, lessons.get(column.name))
        if column.name not in ruled
        else []
        for column in columns
    }
    reasons = _untangle(columns, wanted, fits)
    chosen = _assign(fits, {mapped.field for mapped in ruled.values()}, wanted)
    _drop_spare_parts(columns, chosen, reasons)
    verdicts = Verdicts(chosen, reasons, wanted, lessons, columns)
    entries = [asdict(ruled.get(column.name) or verdicts.on(column)) for column in columns]
    return Proposal(entries, frozenset(reasons))


def review(
    columns: Sequence[Column],
    target: Mapping[str, Any],
    proposal: Sequence[Mapping[str, Any]],
    lessons: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """Hold a proposal against the schema: one entry per column, whatever the proposal left out.

    A column loses its field when the field is unknown, its values break the schema, or another
    column is surer of a field that takes one. Rules decide.
    """
    wanted = fields(target)
    ruled = _ruled(_lessons(columns, wanted, lessons))
    entries = {str(entry.get("column")): entry for entry in proposal}
    checked = [
        ruled.get(column.name) or _checked(column, entries.get(column.name), wanted)
        for column in columns
    ]
    return [asdict(mapped) for mapped in _one_each(checked, wanted)]


def _lessons(
    columns: Sequence[Column], wanted: Sequence[Field], lines: Iterable[str]
) -> dict[str, Lesson]:
    names = [column.name for column in columns]
    found = taught.read(lines, names, [field.name for field in wanted])
    return {lesson.column: lesson for lesson in found}


def _ruled(lessons: Mapping[str, Lesson]) -> dict[str, Mapped]:
    """Return the columns that a person's rule decides."""
    return {
        name: Mapped(name, lesson.field, LEARNED, "a lesson says so")
        for name, lesson in lessons.items()
        if lesson.decides
    }


def _fits(column: Column, wanted: Sequence[Field], lesson: Lesson | None) -> list[Fit]:
    found = (fit(column, field) for field in wanted)
    if lesson is not None:
        moved = zip(found, wanted, strict=True)
        found = (_moved(option, field, lesson) for option, field in moved)
    likely = [option for option in found if option and option.score >= ACCEPTED]
    return sorted(likely, key=lambda option: -option.score)


def _moved(option: Fit | None, field: Field, lesson: Lesson) -> Fit | None:
    """Return the evidence as a lesson leaves it; None is what the schema rules out."""
    if option is None:
        return None
    score = lesson.moved(option.score, field.name)
    if field.name != lesson.field:
        return replace(option, score=score)
    role = option.role if option.score else "part" if field.parts else "whole"
    said = f"{option.reason}; {lesson.told()}" if option.score else lesson.told()
    return Fit(field.name, role, score, said)


def _untangle(columns: Sequence[Column], wanted: Sequence[Field], fits: Fits) -> dict[str, str]:
    """Settle composites in `fits`; return why a column was set aside."""
    reasons: dict[str, str] = {}
    named = {column.name: column for column in columns}
    for name, parts in composites(columns).items():
        _settle(named[name], parts, wanted, fits, reasons)
    for first, twin in twins(columns):
        if fits[first] and fits[twin] and fits[first][0].field == fits[twin][0].field:
            fits[twin] = []
            reasons[twin] = f"it is {first} in another language"
    return reasons


def _settle(
    column: Column,
    parts: Sequence[Column],
    wanted: Sequence[Field],
    fits: Fits,
    reasons: dict[str, str],
) -> None:
    said = ", ".join(part.name for part in parts)
    best = {part.name: best_of(fits[part.name]) for part in parts}
    served = {option.field for option in best.values() if option}
    whole = next((f for f in wanted if {f.name} == served and f.parts), None)
    named = whole and any(option.field == whole.name for option in fits[column.name])
    if whole and (named or all(best.values())) and not broken(column, whole):
        fits[column.name] = [Fit(whole.name, "whole", COMPOSED, f"it joins {said}")]
        for part in parts:
            fits[part.name] = []
            reasons[part.name] = f"{column.name} says it already"
    elif served:
        fits[column.name] = []
        reasons[column.name] = f"it repeats {said}"
        _explain(column, [part for part in parts if part.name not in reasons], wanted, fits)


def _explain(column: Column, parts: Sequence[Column], wanted: Sequence[Field], fits: Fits) -> None:
    """Give the words of a full address that no field explains to the field that takes parts."""
    known = [part for part in parts if fits[part.name]]
    whole = {fit.field for part in known for fit in fits[part.name] if fit.role == "whole"}
    field = next((field for field in wanted if field.parts and field.name not in whole), None)
    for part in parts:
        told = any(repeats(part, other) for other in known)
        if field and not (fits[part.name] or told or broken(part, field)):
            reason = f"in {column.name} it stands where {field.name} does"
            fits[part.name] = [Fit(field.name, "part", EXPLAINED, reason)]


def _assign(fits: Fits, taken: set[str | None], wanted: Sequence[Field]) -> dict[str, Fit]:
    """Give each field its column so that the total score is greatest; parts take no field away.

    A matrix of columns and fields holds what a whole gains over the column's best part.
    """
    free = [field.name for field in wanted if field.name not in taken]
    parts = {name: best_of([o for o in fits[name] if o.role == "part"]) for name in fits}
    wholes = {(n, o.field): o for n in fits for o in fits[n] if o.role == "whole"}
    gains = [[_gain(wholes.get((name, field)), parts[name]) for field in free] for name in fits]
    chosen = {name: part for name, part in parts.items() if part}
    names = list(fits)
    for row, at in zip(*linear_sum_assignment(gains, maximize=True), strict=True):
        if gains[row][at] > 0:
            chosen[names[row]] = wholes[names[row], free[at]]
    return {name: chosen[name] for name in fits if name in chosen}


def _gain(whole: Fit | None, part: Fit | None) -> float:
    return max(0.0, (whole.score if whole else 0.0) - (part.score if part else 0.0))


def _drop_spare_parts(
    columns: Sequence[Column], chosen: dict[str, Fit], reasons: dict[str, str]
) -> None:
    """Drop parts that another column of the field says, and empty ones without a filled one."""
    named = {column.name: column for column in columns}
    for name, option in reversed(list(chosen.items())):
        beside = {
            named[other]: its
            for other, its in chosen.items()
            if other != name and its.field == option.field
        }
        reason = _spare(named[name], beside) if option.role == "part" else None
        if reason:
            del chosen[name]
            reasons[name] = reason


def _spare(column: Column, beside: Mapping[Column, Fit]) -> str | None:
    parts = [other for other, its in beside.items() if its.role == "part"]
    if column.empty and all(other.empty for other in parts):
        return "it is empty, as all parts are"
    said = next((other.name for other in beside if repeats(column, other)), None)
    return f"{said} says it already" if said else None


def _checked(column: Column, entry: Mapping[str, Any] | None, wanted: Sequence[Field]) -> Mapped:
    if entry is None:
        return Mapped(column.name, None, 0.0, "the proposal left it out")
    confidence = float(entry.get("confidence") or 0)
    mapped = Mapped(column.name, entry.get("field"), confidence, str(entry.get("reason", "")))
    field = next((field for field in wanted if field.name == mapped.field), None)
    if mapped.field is None:
        return mapped
    if field is None:
        return replace(mapped, field=None, reason=f"{mapped.field} is no field of the schema")
    rule = broken(column, field)
    return replace(mapped, field=None, reason=rule) if rule else mapped


def _one_each(checked: Sequence[Mapped], wanted: Sequence[Field]) -> list[Mapped]:
    single = {field.name for field in wanted if not field.parts}
    surest: dict[str, Mapped] = {}
    for mapped in checked:
        if mapped.field in single:
            rival = surest.get(mapped.field or "")
            if rival is None or mapped.confidence > rival.confidence:
                surest[mapped.field or ""] = mapped
    return [
        mapped
        if mapped.field not in single or surest[mapped.field or ""] is mapped
        else replace(mapped, field=None, reason=f"{surest[mapped.field or ''].column} is surer")
        for mapped in checked
    ]

"""Which column feeds which field: reasoning without a model, from what an agent's prompt holds.

1. A lesson decides: what was learned about a column outweighs all below.
2. Evidence is weighed for each column and field (evidence.py).
3. A column that only says again what columns of several fields say maps to nothing.
4. A column put together from parts of one field is that field, and the parts are left out.
5. Words of a full address that no other field explains belong to the field that takes parts.
6. Every other field takes one column; together they are chosen for the greatest total score.
7. Of columns whose names differ in a two-letter ending (a language), the first filled is taken.
8. Of parts that say the same, the first is kept; empty parts need a filled one beside them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from scipy.optimize import linear_sum_assignment

from crews.import_mapping.cpu_limit import cpu_limit
from crews.import_mapping.evidence import Column, Fit, broken, fit, obstacle
from crews.import_mapping.relations import composites, repeats, twins
from crews.import_mapping.target import Field, fields

CPU_SECONDS = 20.0  # a file of 500 columns takes 5
ACCEPTED = 0.5
LEARNED = 0.97
COMPOSED = 0.9
EXPLAINED = 0.6
NOTHING = {"nothing", "null", "none"}
_LESSON = re.compile(r'column "(?P<column>[^"\n]+)" -> "?(?P<field>\w+)', re.IGNORECASE)

Fits = dict[str, list[Fit]]


@dataclass(frozen=True)
class Mapped:
    """The verdict on one column; `field` is None where it maps to nothing."""

    column: str
    field: str | None
    confidence: float
    reason: str


def propose(
    columns: Sequence[Column], target: Mapping[str, Any], lessons: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """One entry per column, in the file's order: column, field or None, confidence, reason.

    Raises TooMuchWork.
    """
    with cpu_limit(CPU_SECONDS):
        return _propose(columns, fields(target), lessons)


def _propose(
    columns: Sequence[Column], wanted: Sequence[Field], lessons: Iterable[str]
) -> list[dict[str, Any]]:
    learned = _learned(columns, wanted, lessons)
    fits = {
        column.name: [] if column.name in learned else _fits(column, wanted) for column in columns
    }
    reasons = _untangle(columns, wanted, fits)
    chosen = _assign(fits, {mapped.field for mapped in learned.values()}, wanted)
    _drop_spare_parts(columns, chosen, reasons)
    return [
        asdict(learned.get(column.name) or _verdict(column, chosen, reasons, wanted))
        for column in columns
    ]


def review(
    columns: Sequence[Column],
    target: Mapping[str, Any],
    proposal: Sequence[Mapping[str, Any]],
    lessons: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """Hold a proposal against the schema: one entry per column, whatever the proposal left out.

    A column loses its field when the field is unknown, its values break the schema, or another
    column is surer of a field that takes one. Lessons decide.
    """
    wanted = fields(target)
    learned = _learned(columns, wanted, lessons)
    entries = {str(entry.get("column")): entry for entry in proposal}
    checked = [
        learned.get(column.name) or _checked(column, entries.get(column.name), wanted)
        for column in columns
    ]
    return [asdict(mapped) for mapped in _one_each(checked, wanted)]


def lesson_line(column: str, field: str | None) -> str:
    """The one form in which a lesson decides, e.g. `column "ST_NUM" -> number`."""
    return f'column "{column}" -> {field or "nothing"}'


def _learned(
    columns: Sequence[Column], wanted: Sequence[Field], lessons: Iterable[str]
) -> dict[str, Mapped]:
    known = {field.name.casefold(): field.name for field in wanted}
    told: dict[str, str | None] = {}
    for found in filter(None, (_LESSON.search(lesson) for lesson in lessons)):
        field = found["field"].casefold()
        if field in known or field in NOTHING:
            told[_plain(found["column"])] = known.get(field)
    return {
        column.name: Mapped(column.name, told[plain], LEARNED, "a lesson says so")
        for column in columns
        if (plain := _plain(column.name)) in told
    }


def _plain(name: str) -> str:
    """Names are the same whatever their case and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold()) or name


def _fits(column: Column, wanted: Sequence[Field]) -> list[Fit]:
    found = (fit(column, field) for field in wanted)
    likely = [option for option in found if option and option.score >= ACCEPTED]
    return sorted(likely, key=lambda option: -option.score)


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
    best = {part.name: _best(fits[part.name]) for part in parts}
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


def _best(options: Sequence[Fit]) -> Fit | None:
    return max(options, key=lambda option: option.score, default=None)


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
    parts = {name: _best([o for o in fits[name] if o.role == "part"]) for name in fits}
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


def _verdict(
    column: Column,
    chosen: Mapping[str, Fit],
    reasons: Mapping[str, str],
    wanted: Sequence[Field],
) -> Mapped:
    option = chosen.get(column.name)
    if option:
        return Mapped(column.name, option.field, min(option.score, LEARNED), option.reason)
    if column.name in reasons:
        return Mapped(column.name, None, COMPOSED, reasons[column.name])
    rival = _best([option for field in wanted if (option := fit(column, field))])
    doubt = min(rival.score, LEARNED) if rival else 0.0
    if doubt < ACCEPTED and (found := obstacle(column, wanted)):
        return Mapped(column.name, None, round(1 - found[1] / 2, 2), found[0])
    reason = "another column fits better" if doubt >= ACCEPTED else "no field fits it well"
    return Mapped(column.name, None, round(min(1 - doubt, LEARNED), 2), reason)


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

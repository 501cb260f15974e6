"""Checks what a crew's files say, and tells all that is wrong at once.

A field that is wrong is told and then passed over, so that the rest can be checked as well: what
stands in for it is never told, and no crew is made of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from core import complaints
from core.crews.definition import Definition, Problem, elements
from core.crews.definition.crew import ALL_RULES
from core.crews.definition.rules import Place, RuleError
from infra.crews import crewai_fields, file_rules
from infra.crews.file_rules import AllowList, DoubtError
from infra.crews.source import CrewSource

_NAME = "must be a name: small letters, digits and _, a letter first, 64 characters at most"
_ROUNDS = 5  # a field that is taken away may be missing then, and so on
_STAND_IN = "-"  # of a text that is missing; of these only, since no rule depends on them
_TEXTS = {"name", "description", "expected_output", "role", "goal", "backstory"}
_MODELS: dict[Place, type[BaseModel]] = {
    (): Definition,
    ("agents", "*"): elements.Agent,
    ("tasks", "*"): elements.Task,
    ("limits",): elements.Limits,
    ("consensus",): elements.Consensus,
}
_CREWAI_ONLY: dict[Place, Mapping[str, str]] = {
    (): crewai_fields.CREW,
    ("agents", "*"): crewai_fields.AGENT,
    ("tasks", "*"): crewai_fields.TASK,
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A crew, or None and all that is wrong with it, by file and line.

    `notes` are what keeps nothing from running, and may not be what was meant.
    """

    definition: Definition | None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()


def check(source: CrewSource, name: str | None, allowed: AllowList | None) -> Checked:
    """Hold what a crew's files say against all rules. `name` is its folder's."""
    fields, wrong = _fields(source.value)
    problems = [*source.all_problems(), *(source.problem(place, why) for place, why in wrong)]
    notes = [*source.notes]
    if allowed is not None:
        allowed = replace(allowed, tools={*allowed.tools, *source.own_tools})
    rules = [*_broken(fields, name, allowed)] if fields is not None else []
    for rule in rules:
        if not _follows(rule, wrong):
            doubt = source.is_crewai and isinstance(rule, DoubtError)
            (notes if doubt else problems).append(source.problem(rule.place, str(rule)))
    return Checked(None if problems else fields, _in_order(problems), _in_order(notes))


def _broken(crew: Definition, name: str | None, allowed: AllowList | None) -> Iterator[RuleError]:
    yield from crew.broken_rules()
    yield from file_rules.broken(crew, name, allowed)


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Return each problem once, by file and line."""
    return tuple(dict.fromkeys(sorted(problems, key=lambda each: (each.file, each.line or 0))))


def _follows(rule: RuleError, wrong: Sequence[tuple[Place, str]]) -> bool:
    """Tell whether a rule is broken at or above a field that was told already, or within it."""
    places = [place for place, _ in wrong]
    return any(rule.place[: len(at)] == at or at[: len(rule.place)] == rule.place for at in places)


def _fields(whole: Any) -> tuple[Definition | None, list[tuple[Place, str]]]:
    """Return a crew of all fields that are right, and the others, each with what is wrong with it.

    None where too little is left to say more.
    """
    wrong: dict[Place, str] = {}
    for _ in range(_ROUNDS):
        try:
            return Definition.model_validate(whole, context=ALL_RULES), [*wrong.items()]
        except ValidationError as error:
            errors = error.errors(include_url=False)
        for each in errors:
            place, complaint = _complaint(each, whole)
            if not _is_told(each, wrong, errors):
                wrong.setdefault(place, complaint)
        rest = _without(whole, errors)
        if rest is None:
            break
        whole = rest
    return None, [*wrong.items()]


def _is_told(
    error: ErrorDetails, wrong: Mapping[Place, str], errors: Sequence[ErrorDetails]
) -> bool:
    """Tell whether a field is missing only since it was wrong, or is written with a typo."""
    if error["type"] != "missing":
        return False
    *outer, key = error["loc"]
    others = [e["loc"][-1] for e in errors if e["type"] == "extra_forbidden" and [*e["loc"][:-1]] == outer]  # fmt: skip
    typo = get_close_matches(str(key), [str(each) for each in others], 1)
    return error["loc"] in wrong or bool(typo)


def _without(whole: Any, errors: Sequence[ErrorDetails]) -> Any:
    """Return a copy in which nothing is wrong at these places; None if too little would be left."""
    for error in errors:
        whole = _mended(whole, error["loc"], missing=error["type"] == "missing")
        if whole is None:
            return None
    return whole


def _mended(value: Any, place: Place, *, missing: bool) -> Any:
    """Return a copy with a text put in at a place where it is missing, or else without what is there."""
    if not place or "[key]" in place or not isinstance(value, (dict, list)):
        return None
    if isinstance(value, list):  # without its wrong members, or None in their place
        items = cast("list[Any]", value)
        return [each for number, each in enumerate(items) if number != place[0]]
    step, fields = place[0], cast("dict[str | int, Any]", value)
    if len(place) > 1 and step in fields:
        mended = _mended(fields[step], place[1:], missing=missing)
        return None if mended is None else {**fields, step: mended}
    if missing:
        return {**fields, step: _STAND_IN} if step in _TEXTS else None
    return {key: each for key, each in fields.items() if key != step}


def _complaint(error: ErrorDetails, whole: Any) -> tuple[Place, str]:
    """Return where a crew is wrong, and how, in our words where pydantic's are its own."""
    place = tuple(step for step in error["loc"] if step != "[key]")
    match error["type"]:
        case "extra_forbidden":
            return place, _unknown_key(place)
        case "missing":
            return place, "is missing"
        case "string_pattern_mismatch":
            return place, _NAME
        case "model_type":
            return place, f"must be a mapping, not {_kind(error['input'] if place else whole)}"
        case _:
            known = error["type"] in complaints.WORDS
            return place, complaints.words(error) if known else error["msg"]


def _kind(value: Any) -> str:
    return "empty" if value is None else type(value).__name__


def _unknown_key(place: Place) -> str:
    """Say that there is no such key, and which may have been meant."""
    *outer, key = place
    path = (outer[0], "*") if outer[:1] in (["agents"], ["tasks"]) else tuple(outer)
    if why := _CREWAI_ONLY.get(path, {}).get(str(key)):
        return why
    model = _MODELS.get(path)
    meant = f"; {complaints.choice(key, model.model_fields)}" if model else ""
    return f"there is no such key{meant}"

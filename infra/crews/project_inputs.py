"""The inputs of a project of CrewAI's: what its texts ask for, and what has a default.

CrewAI has no schema of them; `crewai run` asks a person for what is missing.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, cast

from core.crews.definition import Problem, placeholders
from core.crews.definition.rules import PERSONA, PROMPT_TEXTS, Place
from infra.crews.source import CrewSource, SourceFile, mapping

_DOUBLED = re.compile(r"\{\{[A-Za-z_][A-Za-z0-9_\-]*\}\}")
_JSON_TYPES: Mapping[type, str] = {
    str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object",
}  # fmt: skip


def schema_of(whole: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema of the inputs that the texts of a crew ask for, or that have a default."""
    asked = {name: None for _, text in _texts(whole) for name in sorted(placeholders.names(text))}
    properties = {name: _property(defaults, name) for name in {**asked, **dict.fromkeys(defaults)}}
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in defaults],
        "additionalProperties": False,
    }


def _property(defaults: Mapping[str, Any], name: str) -> dict[str, Any]:
    if name not in defaults:
        return {"type": "string"}
    default = defaults[name]
    kind = _JSON_TYPES.get(type(default))
    return {**({"type": kind} if kind else {}), "default": default}


def doubled_braces(whole: Mapping[str, Any], files: list[SourceFile]) -> Iterator[Problem]:
    """Tell of the one text that CrewAI fills and we do not: of `{{name}}`, the braces within."""
    crew = CrewSource(whole, tuple(files))
    for place, text in _texts(whole):
        for found in _DOUBLED.finditer(text):
            why = f"{found[0]} is filled by CrewAI, within its outer braces, and not here"
            yield crew.problem(place, f"{why}: write it without them")


def likely_typos(whole: Mapping[str, Any], file: str, defaults: Mapping[str, Any]) -> list[Problem]:
    """Tell of inputs that have no default and nearly the name of one that has."""
    unknown = [n for n in whole["inputs"]["properties"] if n not in defaults]
    close = {name: get_close_matches(name, defaults, 1, 0.8) for name in unknown}
    return [
        Problem(file, None, f"{{{name}}} is an input of its own; did you mean {{{meant[0]}}}?")
        for name, meant in close.items()
        if meant
    ]


def _texts(whole: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Yield all texts that inputs are filled into, with their places."""
    for part, fields in (("agents", PERSONA), ("tasks", PROMPT_TEXTS)):
        for name, each in cast("dict[str, Any]", whole[part]).items():
            for key in fields:
                if isinstance(text := mapping(each).get(key), str):
                    yield (part, name, key), text

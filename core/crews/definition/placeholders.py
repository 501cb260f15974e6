"""Placeholders in a crew's texts: `{name}` stands for the input of that name, as in CrewAI.

`{{name}}` is the text `{name}` itself. Braces around anything that is no name stay as they are, and
so does all that an input holds: a text is filled once, in one pass.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_NAME = r"[A-Za-z_][A-Za-z0-9_\-]*"  # CrewAI's: crewai/utilities/string_utils.py
_PLACEHOLDER = re.compile(rf"\{{\{{({_NAME})\}}\}}|\{{({_NAME})\}}")

# Blanks, a conversion, a filter or a part of the value beside the name.
_NEARLY = re.compile(
    rf"\{{+(?=\s|[^{{}}]*[^A-Za-z0-9_\-{{}}])\s*({_NAME})\s*(?:[!|.\[][^{{}}]*)?\}}+"
)


def names(text: str) -> set[str]:
    """Return the names of the inputs that a text asks for."""
    return {found[2] for found in _PLACEHOLDER.finditer(text) if found[2]}


def nearly(text: str) -> Iterator[tuple[str, str]]:
    """Yield what looks like a placeholder and is none, with the name in it.

    `{ name }` and `{{ name }}` of Jinja and `{name.part}` of Python stay as they are, in CrewAI, too.
    """
    return ((found[0], found[1]) for found in _NEARLY.finditer(text))


def fill(text: str, inputs: Mapping[str, Any]) -> str:
    """Return a text with its inputs: strings as they are, all else as JSON.

    A name that is no input's stays as it stands, in its braces.
    """

    def value(found: re.Match[str]) -> str:
        literal, name = found.groups()
        if name in inputs:
            return as_text(inputs[name])
        return f"{{{literal or name}}}"

    return _PLACEHOLDER.sub(value, text)


def as_text(value: Any) -> str:
    """Return a text as it is, any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Placeholders in a crew's texts: `{name}` stands for the input of that name, as in CrewAI.

`{{name}}` is the text `{name}` itself. Braces around anything that is no name stay as they are, and
so does all that an input holds: a text is filled once, in one pass.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_NAME = r"[A-Za-z_][A-Za-z0-9_\-]*"  # CrewAI's: crewai/utilities/string_utils.py
_PLACEHOLDER = re.compile(rf"\{{\{{({_NAME})\}}\}}|\{{({_NAME})\}}")


def names(text: str) -> set[str]:
    """Return the names of the inputs that a text asks for."""
    return {found[2] for found in _PLACEHOLDER.finditer(text) if found[2]}


def fill(text: str, inputs: Mapping[str, Any]) -> str:
    """Return a text with its inputs: strings as they are, the rest as JSON, `null` if not given."""

    def value(found: re.Match[str]) -> str:
        return f"{{{found[1]}}}" if found[1] else as_text(inputs.get(found[2]))

    return _PLACEHOLDER.sub(value, text)


def as_text(value: Any) -> str:
    """Return a text as it is, any other value as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

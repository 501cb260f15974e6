"""What a brief must stand up to before it counts."""

import re
from typing import Any

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def numbers_of_the_notes(output: Any, inputs: dict[str, Any]) -> str | None:
    """Refuse a brief with a number that neither the notes nor the question have."""
    known = {*_numbers(inputs["notes"]), *_numbers(inputs["question"])}
    made_up = [number for number in _numbers(str(output)) if number not in known]
    return f"the notes do not say {', '.join(made_up)}" if made_up else None


def _numbers(text: str) -> list[str]:
    """Return the numbers, 4,120 and 4.120 as 4120, each once."""
    return list(dict.fromkeys(re.sub("[.,]", "", found) for found in _NUMBER.findall(text)))

"""What a brief decides, as a learner knows it: whether it is prose or points, as its readers like it.

What a brief is, its text shows, so a thumb is about what the reader saw; a thumb down on one form is a
word for the other. An agent's own choice teaches nothing: nobody has read it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MEMORY = "research_brief-form"
WRITES = "write"  # the task whose answer is read
PROSE, POINTS = "prose", "points"
_WORDS = {PROSE: "flowing prose, without a list", POINTS: 'bullet points, one a line after "- "'}
_POINT = re.compile(r"^\s*(?:[-*•]|\d+[.)]) \S", re.MULTILINE)
_LEAST = 2  # points that make a list


@dataclass(frozen=True, slots=True)
class FormDecision:
    """Which form the answer to a question has."""

    context: Mapping[str, Any]
    about: str = ""
    usual: None = None
    expected: None = None
    candidates: tuple[str, ...] = (PROSE, POINTS)
    teaches: bool = False


def memory(inputs: Mapping[str, Any]) -> str:
    """Return the name of the one memory of all briefs."""
    del inputs
    return MEMORY


def decisions(text: str, inputs: Mapping[str, Any], task: str) -> Sequence[FormDecision]:
    """Return the decision on the form, for who writes and for the flow as a whole."""
    del text
    return [FormDecision({"question": inputs["question"]})] if task in (WRITES, "") else ()


def lesson(decision: FormDecision, action: str, sure: float, usual: float | None, name: str) -> str:
    """Return what readers like, in words."""
    del decision
    if usual is None:
        return f"A reader of a brief on this very question liked {_WORDS[action]} best (lesson {name})."
    return f"Readers liked briefs on such questions best as {_WORDS[action]} ({sure:.3f} sure; lesson {name})."


def decided(output: Any) -> Mapping[str, str]:
    """Return the form of a brief."""
    points = len(_POINT.findall(output)) if isinstance(output, str) else 0
    return {"": POINTS if points >= _LEAST else PROSE}

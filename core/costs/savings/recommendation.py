"""Recommendations: what to change so that the same calls cost less, and how much that is.

A recommendation has a stable id, from which its target can be read again: what kind it is, of which
calls, and what to put in the place of what. The same recommendation of another period has the same id.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from core.errors import NotFoundError
from core.json_text import compact

LONGEST_ID = 2_000
_PARTS = 6  # of an id: kind, crew, task, agent, model, to


class Kind(StrEnum):
    """What is changed; `savings.report.ORDER` says in which order they are counted."""

    DUPLICATE_CALLS = "duplicate_calls"
    FAILED_CALLS = "failed_calls"
    TIER_AVOIDANCE = "tier_avoidance"
    CONTEXT_REDUCTION = "context_reduction"
    OUTPUT_CAP = "output_cap"
    REASONING_EFFORT = "reasoning_effort"
    UNREAD_CACHE_WRITES = "unread_cache_writes"
    PROMPT_CACHING = "prompt_caching"
    BATCH_OR_FLEX = "batch_or_flex"
    RIGHT_SIZING = "right_sizing"
    CASCADE = "cascade"


@dataclass(frozen=True, slots=True)
class Target:
    """Which calls are changed: those of a crew, task, agent and model; and `to` what.

    `to` is the cheaper model of right-sizing and cascade, the variant of `batch_or_flex`, the level of
    `reasoning_effort`, and empty where there is no choice.
    """

    kind: Kind
    crew: str
    task: str
    agent: str
    model: str
    to: str = ""

    @property
    def id(self) -> str:
        """The id, fit for a path: `right_sizing.` and the names in base64url."""
        names = compact([self.crew, self.task, self.agent, self.model, self.to])
        return f"{self.kind}.{base64.urlsafe_b64encode(names.encode()).decode().rstrip('=')}"

    @property
    def names(self) -> tuple[str, str, str, str]:
        """The names of the calls: crew, task, agent, model."""
        return self.crew, self.task, self.agent, self.model

    @property
    def where(self) -> dict[str, str]:
        """The names of the calls as JSON."""
        return {"crew": self.crew, "task": self.task, "agent": self.agent, "model": self.model}


def read_id(text: str) -> Target:
    """Return the target that an id names. Raises NotFoundError for what is no id."""
    kind, _, coded = text[:LONGEST_ID].partition(".")
    try:
        names = json.loads(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)))
        target = Target(Kind(kind), *_texts(names))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise NotFoundError("no such recommendation") from None
    if target.id != text:  # written otherwise: each has one id
        raise NotFoundError("no such recommendation")
    return target


def _texts(names: Any) -> list[str]:
    if not isinstance(names, list):
        raise TypeError("no names")
    found = cast("list[Any]", names)
    if len(found) != _PARTS - 1 or not all(isinstance(name, str) for name in found):
        raise ValueError("no names")
    return found


@dataclass(frozen=True, slots=True)
class Money:
    """What is saved, in nano-dollars: as computed, and between which two figures it lies."""

    saved: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One change and what it saves. `evidence` are recorded numbers; `formula` has them filled in.

    `money` is counted on what is left of the cost once all recommendations before it are followed.
    `verified`: recorded quality supports it, or it changes no answer; else it has to be tried first.
    """

    target: Target
    trigger: str
    change: str
    formula: str
    money: Money
    verified: bool
    evidence: Mapping[str, int | float | str] = field(
        default_factory=dict[str, "int | float | str"]
    )

    def public(self) -> dict[str, Any]:
        """Return the recommendation as JSON."""
        return {
            "id": self.target.id,
            "kind": self.target.kind,
            "where": self.target.where,
            "to": self.target.to or None,
            "trigger": self.trigger,
            "evidence": dict(self.evidence),
            "formula": self.formula,
            "saved_nanodollars": self.money.saved,
            "low_nanodollars": self.money.low,
            "high_nanodollars": self.money.high,
            "change": self.change,
            "verified": self.verified,
        }

"""The tutor: what each tenant has learnt of each task, asked and taught in batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from core.learning.patterns import Pattern

if TYPE_CHECKING:  # it loads numpy
    from core.learning.learner import Recommendation


@dataclass(frozen=True, slots=True)
class Question:
    """A decision to be made: what is known, and the actions there are."""

    context: Mapping[str, Any]
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taught:
    """Feedback under an id: what has the same id is learnt once."""

    id: str
    pattern: Pattern


class Tutor(Protocol):
    """Port: what tenants have learnt. `task` names one memory of a tenant.

    Raises UnavailableError.
    """

    async def advise(
        self, tenant: str, task: str, questions: Sequence[Question]
    ) -> "list[Recommendation]":
        """Answer questions: of each all candidates, best first; none where nothing was learnt."""
        ...

    async def learn(self, tenant: str, task: str, taught: Sequence[Taught]) -> None:
        """Take feedback, in its order. May be told the same again. Raises InvalidInputError."""
        ...

"""The tutor: what each tenant has learnt of each task, asked and taught in batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from core.learning.feedback import Feedback

if TYPE_CHECKING:  # it loads numpy
    from core.learning.learner import Recommendation


@dataclass(frozen=True, slots=True)
class Question:
    """A decision to be made: what is known, and the actions there are."""

    context: Mapping[str, Any]
    candidates: tuple[str, ...]


class Tutor(Protocol):
    """Port: what tenants have learnt. `task` names one memory of a tenant.

    Raises UnavailableError.
    """

    async def advise(
        self, tenant: str, task: str, questions: Sequence[Question]
    ) -> "list[Recommendation]":
        """Answer questions: of each all candidates, best first; none where nothing was learnt."""
        ...

    async def learn(self, tenant: str, task: str, given: Sequence[Feedback]) -> None:
        """Take feedback, in its order. What has the same id is learnt once.

        Raises InvalidInputError for what cannot be kept, ConflictError for too much.
        """
        ...

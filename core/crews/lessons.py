"""Lessons: what earlier flows taught, told to an agent before a step; its outcome, kept after it."""

from typing import Any, Protocol

from core.crews.crew_runner import StepTask


class Lessons(Protocol):
    """Port: the memory of a tenant's crews. What fails here must not fail a step."""

    async def before(self, work: StepTask) -> tuple[str, ...]:
        """Return what this agent should know for this step, the most telling first."""
        ...

    async def after(self, work: StepTask, result: dict[str, Any]) -> None:
        """Take the result of a step that is committed; may be told twice."""
        ...


class NoLessons:
    """Nothing was learnt, and nothing is kept."""

    async def before(self, work: StepTask) -> tuple[str, ...]:
        """Return nothing."""
        del work
        return ()

    async def after(self, work: StepTask, result: dict[str, Any]) -> None:
        """Forget it."""

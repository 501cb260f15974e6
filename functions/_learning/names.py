"""Names in bodies and paths, and when something was said."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from starlette.requests import Request

from core.errors import InvalidInputError
from core.learning.feedback import TASK

FUTURE_MS = 60_000  # by which the clock of whoever says it may be ahead

Task = Annotated[str, Field(pattern=f"^{TASK.pattern}$")]
Action = Annotated[str, Field(min_length=1, max_length=256)]


def task_of(request: Request) -> str:
    """Return the task of a path. Raises InvalidInputError."""
    return checked_task(request.path_params["task"], "/task")


def checked_task(task: str, pointer: str) -> str:
    """Return a task's name. Raises InvalidInputError for what cannot be one."""
    if not TASK.fullmatch(task):
        raise InvalidInputError(
            "this is no name of a task", {pointer: f"must match {TASK.pattern}"}
        )
    return task


def time_ms(text: str | None, now_ms: int) -> int:
    """Return a time in ISO 8601; now where none is given. Raises ValueError."""
    if text is None:
        return now_ms
    try:
        at = datetime.fromisoformat(text)
        at_ms = round(at.timestamp() * 1000) if at.tzinfo else -1
    except (ValueError, OverflowError):
        at_ms = -1
    if at_ms < 0:
        raise ValueError("must be a time with its zone, such as 2026-11-25T12:00:00Z")
    if at_ms > now_ms + FUTURE_MS:
        raise ValueError("lies in the future")
    return at_ms

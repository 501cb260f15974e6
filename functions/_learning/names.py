"""Names in bodies and paths."""

from typing import Annotated

from pydantic import Field
from starlette.requests import Request

from core.errors import InvalidInputError
from core.learning.feedback import TASK

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

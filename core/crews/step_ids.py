"""Ids of steps and reviews: `task`, `task.2` (its second version), `task.review.1`, `task.plan`, ...

The first word is the task's name, which has no dot. What stands after it is the strategy's own, but for
a person's reviews of a task and the versions that their feedback leads to.
"""

import re

REVIEW = re.compile(r"[a-z0-9_]{1,64}\.review\.[0-9]{1,3}")


def task_of(step: str) -> str:
    """Return the task that a step or a review belongs to."""
    return step.partition(".")[0]


def words_of(step: str) -> list[str]:
    """Return what an id says after its task."""
    return step.split(".")[1:]


def version_id(task: str, version: int) -> str:
    """Return the id of the step that writes version 2, 3, ... of a task's answer."""
    return f"{task}.{version}"


def version_of(step: str) -> int | None:
    """Return which version of its task's answer a step writes; None if it does something else."""
    words = words_of(step)
    return int(words[0]) if len(words) == 1 and words[0].isdigit() else None


def review_id(task: str, number: int) -> str:
    """Return the id of a person's review of version `number` of a task's answer."""
    return f"{task}.review.{number}"


def is_review_of(name: str, task: str) -> bool:
    """Tell whether a result, or what a request names, is a review of this task."""
    return name.startswith(f"{task}.review.")


def review_number(review: str) -> int:
    """Return which of its task's reviews this is."""
    return int(review.rpartition(".")[2])

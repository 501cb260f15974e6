"""Strategies: from a crew and the results so far to what may run now, as a pure function.

Sequential: a chain. Each task waits for the one before it and is told what CrewAI would tell it:
the outputs of its `context`, or of all earlier tasks where it names none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.crews.definition import Definition
from core.flows import Step


@dataclass(frozen=True, slots=True)
class End:
    """The flow has what it was launched for."""

    output: Any


def steps(definition: Definition) -> tuple[Step, ...]:
    """Return the steps that are known before the first one ran, in order."""
    return tuple(
        Step(name, task.expected_output, definition.agents[task.agent].role)
        for name, task in definition.tasks.items()
    )


def ready(definition: Definition, results: Mapping[str, Any]) -> list[str] | End:
    """Return the ids of the steps that may run now, or the end with the last task's output.

    Correct only on the state that a commit returned, not on one read before it.
    """
    waiting = [name for name in definition.tasks if name not in results]
    if waiting:
        return waiting[:1]
    return End(results[list(definition.tasks)[-1]]["output"])


def context(definition: Definition, step: str) -> list[str]:
    """Return the tasks whose outputs this step is told, in order."""
    names = list(definition.tasks)
    named = definition.tasks[step].context
    return names[: names.index(step)] if named is None else named

"""The order of tasks, as CrewAI keeps it.

Tasks form a chain. A task with `async_execution` leaves it: it begins when the task before it in
the chain is done, and the chain goes on beside it, until a task names it in its `context` or, by
naming none, is to be told all that was before.
"""

from dataclasses import dataclass

from core.crews.definition import Definition


@dataclass(frozen=True, slots=True)
class Place:
    """A task's place in the order.

    `context`: the tasks whose answers it is told, in order; `needs`: those that must be finished
    before it begins.
    """

    context: tuple[str, ...]
    needs: frozenset[str]


def places(definition: Definition) -> dict[str, Place]:
    """Return every task's place; a task needs only tasks that stand before it."""
    found = dict[str, Place]()
    link: tuple[str, ...] = ()  # the last task of the chain so far
    for name, task in definition.tasks.items():
        if task.context is not None:
            context = tuple(task.context)
        else:
            context = link if task.async_execution else tuple(found)
        found[name] = Place(context, frozenset((*link, *context)))
        if not task.async_execution:
            link = (name,)
    return found

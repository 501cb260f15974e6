"""The order of tasks, as CrewAI keeps it.

Tasks form a chain. A task with `async_execution` leaves it: it begins when the task before it in
the chain is done, and the chain goes on beside it, until a task names it in its `context` or, by
naming none, is to be told all that was before.
"""

from core.crews.definition import Definition


def needs(definition: Definition, task: str) -> set[str]:
    """Return the tasks that must be finished before this one begins."""
    return {*_link(definition, task), *context_tasks(definition, task)}


def context_tasks(definition: Definition, task: str) -> list[str]:
    """Return the tasks whose answers this one is told, in order."""
    this = definition.tasks[task]
    if this.context is not None:
        return this.context
    return _link(definition, task) if this.async_execution else _earlier(definition, task)


def _link(definition: Definition, task: str) -> list[str]:
    """Return the task before this one in the chain, if there is one."""
    tasks = definition.tasks
    return [name for name in _earlier(definition, task) if not tasks[name].async_execution][-1:]


def _earlier(definition: Definition, task: str) -> list[str]:
    names = list(definition.tasks)
    return names[: names.index(task)]

"""Strategies: from a crew and the results so far to what may run now, without I/O.

Tasks follow each other as `task_order` says. How one task comes to its answer is the process's: one
agent does it (`sequential`), a manager has it done (`hierarchical`), or several agents agree on it
(`consensus`); after that a person may have a say (`human_input`). Each of these looks at the
results and says what is missing: steps that may run, in parallel where there are several, a
person's answer, or nothing more. `task_graph` puts that together for all tasks of a flow.

A step's id says all about it, so the same results always give the same ready steps, whichever
worker asks and in whatever order the results came. Where inputs matter, to texts and titles, the
definition is one that is `filled`.
"""

from core.crews.strategies.human_input import review_answer
from core.crews.strategies.task_graph import TaskGraph, initial_steps
from core.crews.strategies.types import End, Ready, TaskResult, Wait

__all__ = [
    "End",
    "Ready",
    "TaskGraph",
    "TaskResult",
    "Wait",
    "initial_steps",
    "review_answer",
]

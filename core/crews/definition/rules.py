"""What each process asks of a crew. Every rule raises ValueError that says what is wrong."""

from collections.abc import Collection, Mapping
from itertools import takewhile

from core.crews.definition.words import Agent, Consensus, Process, Task


def known(names: Collection[str | None], there: Collection[str], complaint: str) -> None:
    """Have all names be there."""
    if missing := sorted(str(name) for name in names if name not in there):
        raise ValueError(f"{complaint}: {', '.join(missing)}")


def belongs_to(process: Process, *, manager: str | None, consensus: Consensus | None) -> None:
    """Have no part of another process."""
    if manager is not None and process != "hierarchical":
        raise ValueError(f"a {process} crew has no manager")
    if consensus is not None and process != "consensus":
        raise ValueError(f"a {process} crew has no consensus")


def sequential(tasks: Mapping[str, Task]) -> None:
    """Have an agent for every task, and one output at the end."""
    for name, task in tasks.items():
        if task.agent is None:
            raise ValueError(f"task {name}: no agent")
    last = takewhile(lambda task: task.async_execution, reversed(list(tasks.values())))
    if len(list(last)) > 1:
        raise ValueError("a crew may end with one task of async_execution, not with several")


def hierarchical(
    agents: Mapping[str, Agent], tasks: Mapping[str, Task], manager: str | None
) -> None:
    """Have a manager, workers, and tasks that leave the work to them."""
    if manager is None:
        raise ValueError("a hierarchical crew names its manager")
    known({manager}, agents, "manager: no such agent")
    if len(agents) == 1:
        raise ValueError("a manager needs another agent to work")
    for name, task in tasks.items():
        _in_order(name, task, "hierarchical")
        if task.agent == manager:
            raise ValueError(f"task {name}: its agent is the manager, who does not work")


def consensus(
    agents: Mapping[str, Agent], tasks: Mapping[str, Task], asked: Consensus | None
) -> None:
    """Have different agents who propose, and perhaps a judge who does not."""
    if asked is None:
        raise ValueError("a consensus crew has consensus: who proposes, and when it ends")
    known(asked.agents, agents, "consensus: no such agent")
    if len(set(asked.agents)) < len(asked.agents):
        raise ValueError("consensus: an agent is named twice")
    _judge(agents, asked)
    for name, task in tasks.items():
        _in_order(name, task, "consensus")
        if task.agent is not None:
            raise ValueError(f"task {name}: the agents of the consensus do it, name none here")


def _judge(agents: Mapping[str, Agent], asked: Consensus) -> None:
    if asked.judge is None:
        if asked.tie == "judge":
            raise ValueError("consensus: tie: judge needs a judge")
        return
    known({asked.judge}, agents, "consensus: no such agent")
    if asked.judge in asked.agents:
        raise ValueError("consensus: the judge does not propose")


def _in_order(name: str, task: Task, process: Process) -> None:
    if task.async_execution:
        raise ValueError(f"task {name}: async_execution is for sequential crews, not {process}")

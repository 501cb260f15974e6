"""What each process asks of a crew. Every rule yields what breaks it, and where."""

from collections.abc import Collection, Iterator, Mapping
from itertools import takewhile

from core import complaints
from core.crews.definition.elements import Agent, Consensus, Process, Task

PERSONA = ("role", "goal", "backstory")
PROMPT_TEXTS = ("description", "expected_output")
Place = tuple[str | int, ...]  # of a value in a crew's files: its keys from the outside in


class RuleError(ValueError):
    """A rule is broken at `place`."""

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.place: Place = place


def known(
    names: Collection[str | None], there: Collection[str], complaint: str, *place: str | int
) -> Iterator[RuleError]:
    """Have all names be there; of the first that is not, say which may have been meant."""
    if missing := sorted(str(name) for name in names if name not in there):
        meant = complaints.choice(missing[0], there)
        yield RuleError(f"{complaint}: {', '.join(missing)}; {meant}", *place)


def names_are_known(agents: Mapping[str, Agent], tasks: Mapping[str, Task]) -> Iterator[RuleError]:
    """Have the agents and the earlier tasks that tasks name."""
    earlier: list[str] = []
    for name, task in tasks.items():
        at = ("tasks", name)
        yield from known({task.agent} - {None}, agents, f"task {name}: no such agent", *at, "agent")
        complaint = f"task {name}: context is no earlier task"
        yield from known(set(task.context or ()), earlier, complaint, *at, "context")
        earlier.append(name)


def of_process(
    process: Process,
    agents: Mapping[str, Agent],
    tasks: Mapping[str, Task],
    manager: str | None,
    agreement: Consensus | None,
) -> Iterator[RuleError]:
    """Have what a process needs, and no part of another one."""
    if manager is not None and process != "hierarchical":
        yield RuleError(f"a {process} crew has no manager", "manager")
    if agreement is not None and process != "consensus":
        yield RuleError(f"a {process} crew has no consensus", "consensus")
    match process:
        case "sequential":
            yield from sequential(tasks)
        case "hierarchical":
            yield from hierarchical(agents, tasks, manager)
        case "consensus":
            yield from consensus(agents, tasks, agreement)


def sequential(tasks: Mapping[str, Task]) -> Iterator[RuleError]:
    """Have an agent for every task, and one output at the end."""
    for name, task in tasks.items():
        if task.agent is None:
            yield RuleError(f"task {name}: no agent", "tasks", name)
    last = list(takewhile(lambda name: tasks[name].async_execution, reversed(list(tasks))))
    if len(last) > 1:
        complaint = "a crew may end with one task of async_execution, not with several"
        yield RuleError(complaint, "tasks", last[0])


def hierarchical(
    agents: Mapping[str, Agent], tasks: Mapping[str, Task], manager: str | None
) -> Iterator[RuleError]:
    """Have a manager, workers, and tasks that leave the work to them."""
    if manager is None:
        yield RuleError("a hierarchical crew names its manager", "process")
    else:
        yield from known({manager}, agents, "manager: no such agent", "manager")
    if len(agents) == 1:
        yield RuleError("a manager needs another agent to work", "agents")
    for name, task in tasks.items():
        yield from _in_order(name, task, "hierarchical")
        if manager is not None and task.agent == manager:
            complaint = f"task {name}: its agent is the manager, who does not work"
            yield RuleError(complaint, "tasks", name, "agent")


def consensus(
    agents: Mapping[str, Agent], tasks: Mapping[str, Task], asked: Consensus | None
) -> Iterator[RuleError]:
    """Have different agents who propose, and perhaps a judge who does not."""
    if asked is None:
        complaint = "a consensus crew has consensus: who proposes, and when it ends"
        yield RuleError(complaint, "process")
    else:
        yield from _who_agrees(agents, asked)
    for name, task in tasks.items():
        yield from _in_order(name, task, "consensus")
        if task.agent is not None:
            complaint = f"task {name}: the agents of the consensus do it, name none here"
            yield RuleError(complaint, "tasks", name, "agent")


def _who_agrees(agents: Mapping[str, Agent], asked: Consensus) -> Iterator[RuleError]:
    at = ("consensus", "agents")
    yield from known(asked.agents, agents, "consensus: no such agent", *at)
    if len(set(asked.agents)) < len(asked.agents):
        yield RuleError("consensus: an agent is named twice", *at)
    if asked.judge is None:
        if asked.tie == "judge":
            yield RuleError("consensus: tie: judge needs a judge", "consensus", "tie")
        return
    at = ("consensus", "judge")
    yield from known({asked.judge}, agents, "consensus: no such agent", *at)
    if asked.judge in asked.agents:
        yield RuleError("consensus: the judge does not propose", *at)


def _in_order(name: str, task: Task, process: Process) -> Iterator[RuleError]:
    if task.async_execution:
        complaint = f"task {name}: async_execution is for sequential crews, not {process}"
        yield RuleError(complaint, "tasks", name, "async_execution")


def texts(agents: Mapping[str, Agent], tasks: Mapping[str, Task]) -> Iterator[tuple[Place, str]]:
    """Yield every text that a model is to read, with its place."""
    for name, agent in agents.items():
        yield from ((("agents", name, field), getattr(agent, field)) for field in PERSONA)
    for name, task in tasks.items():
        yield from ((("tasks", name, field), getattr(task, field)) for field in PROMPT_TEXTS)
        for number, rule in enumerate(task.guardrails):
            yield ("tasks", name, "guardrails", number), rule

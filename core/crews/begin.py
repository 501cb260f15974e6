"""Beginning a step: the work that it is, and how the log tells of it."""

from core.crews import strategies
from core.crews.definition import Definition
from core.crews.work import Kind, Work
from core.flows import Flow, Step, events
from core.flows.events import Event


def work(tenant: str, definition: Definition, state: Flow, step: Step) -> Work:
    """Return the work of a step as it would be if it were begun now."""
    assignment = strategies.assignment(definition, state.inputs, state.results, step.id)
    return Work(tenant, state.id, definition, assignment, step.epoch + 1, state.inputs)


def told(work: Work) -> list[Event]:
    """Return the events of a step that begins; a manager's subtask is told as a delegation."""
    assignment = work.assignment
    begun = events.step_started(assignment.step, work.attempt)
    begun += events.custom("agent_started", work.who())
    if assignment.kind is not Kind.SUBTASK or work.attempt > 1:
        return begun
    delegated = {
        "task": assignment.task,
        "step": assignment.step,
        "worker": work.who()["agent"],
        "description": assignment.description,
    }
    return [*begun, *events.custom("delegation", delegated)]


def given_up(step: Step, epoch: int) -> str:
    """Say why a step that kills its workers is not begun again."""
    last = f"; the last time: {step.error}" if step.error else ""
    return f"step {step.id} was started {epoch - 1} times and never finished{last}"

"""Beginning a step: the work that it is, and how the log tells of it."""

from core.crews import strategies
from core.crews.definition import Definition
from core.crews.work import Kind, StepTask
from core.flows import Flow, Step, events
from core.flows.events import Event


def work(tenant: str, definition: Definition, state: Flow, step: Step) -> StepTask:
    """Return the work of a step as it would be if it were begun now."""
    prompt = strategies.prompt(definition, state.inputs, state.results, step.id)
    return StepTask(tenant, state.id, definition, prompt, step.epoch + 1, state.inputs)


def told(work: StepTask) -> list[Event]:
    """Return the events of a step that begins; a manager's subtask is told as a delegation."""
    prompt = work.prompt
    begun = events.step_started(prompt.step, work.attempt)
    begun += events.custom("agent_started", work.who())
    if prompt.kind is not Kind.SUBTASK or work.attempt > 1:
        return begun
    delegated = {
        "task": prompt.task,
        "step": prompt.step,
        "worker": work.who()["agent"],
        "description": prompt.description,
    }
    return [*begun, *events.custom("delegation", delegated)]


def given_up(step: Step, epoch: int) -> str:
    """Say why a step that kills its workers is not begun again."""
    last = f"; the last time: {step.error}" if step.error else ""
    return f"step {step.id} was started {epoch - 1} times and never finished{last}"

"""What all strategies speak of: what may run now, a task's output, and what a prompt is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core.crews.crew_runner import ContextItem, Prompt, StepKind
from core.crews.definition import Agent, Definition, Task
from core.flows import Step

Results = Mapping[str, Any]  # by step: {"output": JSON or text, "raw": text as the model gave it}
_TITLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class End:
    """The flow has what it was launched for."""

    output: Any


@dataclass(frozen=True, slots=True)
class Wait:
    """A person is to answer: the result `name`, on the `output` of `step`. `agent` is its role."""

    name: str
    task: str
    agent: str
    step: str
    output: Any


@dataclass(frozen=True, slots=True)
class Ready:
    """Steps that may run now, beside each other; there is at least one."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a finished task came to; `agent` is the role of whose answer it is."""

    task: str
    output: Any
    raw: str
    agent: str


@dataclass(frozen=True, slots=True)
class TaskOutput:
    """A task's answer, for good unless a person is asked; `agent` is the name of whose it is.

    `agreed` says how a consensus came to it: agreement, rounds and dissent.
    """

    step: str
    agent: str
    output: Any
    raw: str
    agreed: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What the steps of a task are made of: its texts, and what earlier tasks came to."""

    definition: Definition
    results: Results
    name: str
    description: str
    expected_output: str
    context: tuple[ContextItem, ...]

    @property
    def task(self) -> Task:
        return self.definition.tasks[self.name]

    def agent(self, name: str) -> Agent:
        """Return the agent of this name."""
        return self.definition.agents[name]

    def tools(self, agent: str) -> tuple[str, ...]:
        """Return what an agent may use here: the task's tools, or its own where it has none."""
        named = self.task.tools
        return tuple(self.agent(agent).tools if named is None else named)

    def prompt_for(
        self,
        step: str,
        kind: StepKind,
        agent: str,
        description: str,
        context: tuple[ContextItem, ...],
    ) -> Prompt:
        """Return a prompt whose answer is the task's: its form, tools and guardrails hold."""
        return Prompt(
            step=step,
            kind=kind,
            task=self.name,
            agent=agent,
            description=description,
            expected_output=self.expected_output,
            context=context,
            output_schema=self.task.output_schema,
            tools=self.tools(agent),
            guardrails=tuple(self.task.guardrails),
        )


@dataclass(frozen=True, slots=True)
class Strategy:
    """How one task comes to its answer.

    `first`: the steps it surely takes. `progress`: its answer, or the steps that may run for it
    now. `prompt`: of one of its steps, by the words of its id after the task's name.
    """

    first: Callable[[Definition, str], tuple[Step, ...]]
    progress: Callable[[Definition, Results, str], TaskOutput | tuple[Step, ...]]
    prompt: Callable[[TaskContext, list[str]], Prompt]


def make_step(definition: Definition, step_id: str, title: str, agent: str) -> Step:
    """Return a step that has not begun; `title` may be a model's, and then as long as it likes."""
    line = " ".join(title.split())
    if len(line) > _TITLE_CHARACTERS:
        line = line[: _TITLE_CHARACTERS - 1] + "…"
    return Step(step_id, line, definition.agents[agent].role)


def pending(steps: tuple[Step, ...], results: Results) -> tuple[Step, ...]:
    """Return those of the steps that have no result."""
    return tuple(each for each in steps if each.id not in results)

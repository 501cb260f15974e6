"""A flow's tasks: which are finished, what may run now, and what a step is asked."""

from collections.abc import Mapping
from typing import Any, Self

from core.crews.crew_runner import ContextItem, Prompt
from core.crews.definition import Definition
from core.crews.step_ids import task_of, version_of, words_of
from core.crews.strategies import consensus, hierarchical, human_input, sequential
from core.crews.strategies.task_order import places
from core.crews.strategies.types import (
    End,
    Ready,
    Results,
    Strategy,
    TaskContext,
    TaskOutput,
    TaskResult,
    Wait,
)
from core.flows import Flow, Step

_STRATEGIES: Mapping[str, Strategy] = {
    "sequential": Strategy(sequential.first, sequential.progress, sequential.prompt),
    "hierarchical": Strategy(hierarchical.first, hierarchical.progress, hierarchical.prompt),
    "consensus": Strategy(consensus.first, consensus.progress, consensus.prompt),
}


def initial_steps(definition: Definition) -> tuple[Step, ...]:
    """Return the steps that will surely run, in order: what a new flow shows."""
    strategy = _STRATEGIES[definition.process]
    return tuple(step for task in definition.tasks for step in strategy.first(definition, task))


class TaskGraph:
    """The tasks of one flow, from the crew as it is filled with the flow's inputs.

    It remembers which tasks are finished, so a look costs what is left of a flow and not all that
    there is of it. So results may be added between two questions, never changed or taken away.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self._strategy = _STRATEGIES[definition.process]
        self._places = places(definition)
        self._left = dict(self._places)
        self._finished = dict[str, TaskResult]()

    @classmethod
    def of(cls, flow: Flow) -> Self:
        """Return a flow's tasks. Raises StoredDefinitionError where this version cannot run them."""
        return cls(Definition.from_stored(flow.definition).filled(flow.inputs))

    def next_action(self, results: Results) -> Ready | Wait | End:
        """Return the steps that may run now, what a person must say first, or the end.

        Every step without a result whose needs are met is named, also one that runs already.
        Correct only on the state that a commit returned, not on one read before it.
        """
        waiting = self._advance(results)
        steps = tuple(step for each in waiting if isinstance(each, tuple) for step in each)
        if steps:
            return Ready(steps)
        waits = (each for each in waiting if isinstance(each, Wait))
        return next(waits, None) or End(self._output(results))

    def task_results(self, results: Results) -> dict[str, TaskResult]:
        """Return what the finished tasks came to, in the order of the tasks."""
        self._advance(results)
        names = (name for name in self._places if name in self._finished)
        return {name: self._finished[name] for name in names}

    def prompt(self, results: Results, step_id: str) -> Prompt:
        """Return what a step that is ready asks of its agent."""
        task = task_of(step_id)
        ctx = self._context(results, task)
        if (version := version_of(step_id)) is not None:
            draft = self._strategy.progress(self.definition, results, task)
            assert isinstance(draft, TaskOutput)  # noqa: S101 -- only a draft can have been reviewed
            return human_input.prompt(ctx, draft, version)
        return self._strategy.prompt(ctx, words_of(step_id))

    def _advance(self, results: Results) -> list[Wait | tuple[Step, ...]]:
        """Note what is finished by now; return what the tasks that have begun are waiting for."""
        waiting = list[Wait | tuple[Step, ...]]()
        for name, place in list(self._left.items()):
            if not place.needs <= self._finished.keys():
                continue
            outcome = self._outcome(results, name)
            if isinstance(outcome, TaskOutput):
                role = self.definition.agents[outcome.agent].role
                self._finished[name] = TaskResult(name, outcome.output, outcome.raw, role)
                del self._left[name]
            else:
                waiting.append(outcome)
        return waiting

    def _outcome(self, results: Results, task: str) -> TaskOutput | Wait | tuple[Step, ...]:
        """Return a task's answer, or what is missing for it."""
        found = self._strategy.progress(self.definition, results, task)
        if isinstance(found, TaskOutput) and self.definition.tasks[task].human_input:
            return human_input.reviewed(self.definition, results, task, found)
        return found

    def _output(self, results: Results) -> Any:
        """Return the last task's answer; of a consensus, with how strong it is and who dissents."""
        draft = self._outcome(results, list(self._places)[-1])
        assert isinstance(draft, TaskOutput)  # noqa: S101 -- asked only when every task is finished
        return draft.output if draft.agreed is None else {"answer": draft.output, **draft.agreed}

    def _context(self, results: Results, task: str) -> TaskContext:
        """Return a task's texts, and the answers it is told with what a person remarked on them."""
        self._advance(results)
        this, context = self.definition.tasks[task], list[ContextItem]()
        for name in self._places[task].context:
            earlier = self._finished[name]
            context.append(ContextItem(name, earlier.agent, earlier.raw))
            if self.definition.tasks[name].human_input:
                context += human_input.approval_remarks(results, name)
        return TaskContext(
            self.definition, results, task, this.description, this.expected_output, tuple(context)
        )

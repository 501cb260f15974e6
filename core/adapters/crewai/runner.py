"""The runner: one step of a crew as one CrewAI task, with an agent and an LLM of its own.

An agent or LLM that two tasks share fails or mixes up their usage, so both are made anew for each
step. The task runs by `Task.execute_sync`: a Crew around a single task takes longer and adds
nothing; prompts, scoped hooks and usage events are the same. What a Crew would tell a task of the
earlier ones is handed to it as its context.
"""

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from crewai import Agent, BaseLLM, Task
from crewai.events import LLMCallStartedEvent
from crewai.events.stream_context import StreamSink, add_stream_sink, reset_stream_sinks
from crewai.events.utils.console_formatter import set_suppress_console_output
from crewai.hooks.dispatch import InterceptionPoint, scoped_hooks

from core.adapters.crewai import answers, prompts
from core.adapters.crewai.failures import Standing, explain
from core.adapters.crewai.reporting import StepReport
from core.adapters.crewai.tools import StepContext, bind
from core.blobs import BlobStore
from core.costs.prices import PriceBook
from core.crews.ledger import FencedError
from core.crews.run import Post, StepFailedError, StepWork, Tool

_REPAIRS = 2  # how often an answer that does not fit its schema is sent back


class CrewAIRunner:
    """Runs steps through CrewAI. `model` makes a fresh LLM; `tools` is the allow-list.

    The LLM must emit CrewAI's events of a call started and completed, as all of its own do:
    usage, messages and the bound on an agent's rounds hang on them.
    """

    def __init__(
        self,
        model: Callable[[], BaseLLM],
        tools: Mapping[str, Tool],
        prices: PriceBook,
        blobs: BlobStore,
    ) -> None:
        self._model = model
        self._tools = tools
        self._prices = prices
        self._blobs = blobs

    async def run(self, work: StepWork, post: Post) -> dict[str, Any]:
        """Run the step in a thread; see the port. Raises StepFailedError, UnavailableError.

        A thread cannot be cancelled: after a cancellation it ends before its next model call.
        """
        standing = Standing()
        try:
            return await asyncio.to_thread(self._run, work, post, standing)
        except asyncio.CancelledError:
            standing.stopped = FencedError("the step was cancelled")
            raise

    def _run(self, work: StepWork, post: Post, standing: Standing) -> dict[str, Any]:
        """Return the result; an answer that does not fit is told to a new agent, a few times.

        CrewAI's own guardrails would forget the context of the earlier tasks when they retry.
        """
        set_suppress_console_output(True)  # in this thread's context; CrewAI draws boxes otherwise
        report = StepReport(work, post, self._prices, standing)
        schema = work.definition.tasks[work.step].output_schema
        context, complaint = prompts.context(work), ""
        for _ in range(1 + _REPAIRS):
            raw = self._answer(work, context, report, standing)
            try:
                return {"output": answers.read(raw, schema), "raw": raw}
            except answers.InvalidAnswerError as error:
                complaint = str(error)
                context = prompts.with_complaint(prompts.context(work), raw, complaint)
        raise StepFailedError(f"the answer does not fit the output_schema: {complaint}")

    def _answer(self, work: StepWork, context: str, report: StepReport, standing: Standing) -> str:
        """Return what a new agent answers. Raises StepFailedError, or what stopped the step."""
        hooks = {InterceptionPoint.PRE_MODEL_CALL: [report.before_model_call]}
        try:
            agent = self._agent(work, report, standing)
            with scoped_hooks(hooks), _sinks(report.sink, _rounds(agent, standing)):
                answer = _task(work, agent).execute_sync(context=context or None)
        except StepFailedError:
            raise
        except (Exception, SystemExit) as error:  # CrewAI exits when a prompt is too long
            standing.raise_if_stopped()
            raise StepFailedError(explain(error)) from error
        standing.raise_if_failed()
        return answer.raw

    def _agent(self, work: StepWork, report: StepReport, standing: Standing) -> Agent:
        task = work.definition.tasks[work.step]
        agent = work.definition.agents[task.agent]
        names = agent.tools if task.tools is None else task.tools
        context = StepContext(self._blobs, work.tenant, report.insight)
        return Agent(
            role=agent.role,
            goal=agent.goal,
            backstory=agent.backstory,
            llm=self._model(),
            tools=list(bind(names, self._tools, context, standing)),
            max_iter=agent.max_iter,
            executor_class=prompts.SinglePassExecutor,
            max_retry_limit=0,  # the provider's client retries; a whole task is paid for again
            # What is too long fails. CrewAI would have the model summarise it, or put it in files
            # with a tool of its own to read them, and guesses 8,192 tokens for models it does not
            # know: the answer would rest on data that the agent never saw.
            respect_context_window=False,
            use_better_compaction=False,
        )


def _task(work: StepWork, agent: Agent) -> Task:
    return Task(
        name=work.step,
        description=prompts.description(work),
        expected_output=prompts.expected_output(work),
        agent=agent,
    )


def _rounds(agent: Agent, standing: Standing) -> StreamSink:
    """Return a sink that ends the step where CrewAI would force an answer out of its agent."""

    def sink(_source: object, event: object) -> None:
        executor = agent.agent_executor
        if isinstance(event, LLMCallStartedEvent) and executor is not None:
            if executor.iterations < agent.max_iter:
                return
            message = f"the agent gave no answer in {agent.max_iter} rounds (max_iter)"
            standing.stopped = StepFailedError(message)
            raise standing.stopped

    return sink


@contextmanager
def _sinks(*sinks: StreamSink) -> Generator[None]:
    """Have the sinks told what happens in this context and the threads started from it."""
    tokens = [add_stream_sink(sink) for sink in sinks]
    try:
        yield
    finally:
        for token in reversed(tokens):
            reset_stream_sinks(token)

"""One try at a step: as one CrewAI task, with an agent and an LLM of its own.

An agent or LLM that two tasks share fails or mixes up their usage, so both are made anew for each
answer. The task runs by `Task.execute_sync`: a Crew around a single task takes longer and adds
nothing; prompts, scoped hooks and usage events are the same. What a Crew would tell a task of the
earlier ones is handed to it as its context.
"""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from crewai import Agent, BaseLLM, Task
from crewai.events import LLMCallStartedEvent
from crewai.events.stream_context import StreamSink, add_stream_sink, reset_stream_sinks
from crewai.events.utils.console_formatter import set_suppress_console_output
from crewai.hooks.dispatch import InterceptionPoint, scoped_hooks

from core.adapters.crewai import answers, guardrails, prompts
from core.adapters.crewai.asked import asked
from core.adapters.crewai.call_telemetry import CallWatcher
from core.adapters.crewai.executor import StepExecutor
from core.adapters.crewai.model_calls import ModelRetryPolicy, with_retries
from core.adapters.crewai.rate_limiter import RateLimiter
from core.adapters.crewai.replay import Replay, replaying
from core.adapters.crewai.reporting import EventReporter
from core.adapters.crewai.stop_signal import StopSignal
from core.adapters.crewai.threads import FlowThreads
from core.adapters.crewai.tools import StepContext, ToolBounds, bind
from core.blobs import INPUT_ID, BlobStore
from core.costs.model_choices import Choice
from core.costs.prompt_history import PromptHistory
from core.costs.tenant_prices import KnownPrices
from core.crews.crew_runner import (
    Guardrail,
    Session,
    StepDeferredError,
    StepFailedError,
    StepTask,
    Tool,
)
from core.crews.telemetry import CallTelemetry

_REPAIRS = 2  # how often an answer that does not fit, or is refused, is sent back


@dataclass(frozen=True, slots=True)
class RunnerDeps:
    """What a deployment runs its steps with."""

    model: Callable[[], BaseLLM]
    tools: Mapping[str, Tool]
    guardrails: Mapping[str, Guardrail]
    prices: KnownPrices
    blobs: BlobStore
    rate_limiter: RateLimiter
    retries: ModelRetryPolicy
    tool_seconds: float  # that one call of a tool may take
    threads: FlowThreads
    history: PromptHistory
    named_model: Callable[[str], BaseLLM] | None = None  # one that a tenant chose
    telemetry: CallTelemetry | None = None

    def llm(self, choice: Choice | None) -> BaseLLM:
        """Return a fresh LLM: of the model that was chosen, or the deployment's."""
        if choice is None or choice.model is None or self.named_model is None:
            return self.model()
        return self.named_model(choice.model)


class StepTry:
    """Runs in a thread of its own, until the step has its result or `stop_signal` is stopped."""

    def __init__(
        self, work: StepTask, session: Session, deps: RunnerDeps, stop_signal: StopSignal
    ) -> None:
        self._work = work
        self._deps = deps
        self._stop_signal = stop_signal
        self._reporter = EventReporter(work, session, deps.prices, stop_signal, deps.history)
        self._replay = Replay(session.journal, stop_signal)
        self._context = StepContext(
            deps.blobs,
            work.tenant,
            _input_ids(work),
            self._reporter.insight,
            stop_signal,
            work.flow,
            work.prompt.step,
            work.attempt,
        )
        self._bounds = ToolBounds(
            stop_signal, deps.tool_seconds, partial(deps.threads.start, work.tenant, work.flow)
        )
        self._watchers = [CallWatcher(work, deps.telemetry).sink] if deps.telemetry else []
        self._guard = guardrails.GuardrailRunner(work, deps.guardrails, stop_signal, self._ask)

    def run(self) -> dict[str, Any]:
        """Return the result, with every message ended; see `_run`."""
        try:
            return self._run()
        finally:
            self.close()

    def close(self) -> None:
        """End the message that is being streamed; what the try says later is not shown."""
        self._reporter.close()

    def _run(self) -> dict[str, Any]:
        """Return the result; an answer that is not taken is told to a new agent, a few times.

        CrewAI's own guardrails would forget the context of the earlier tasks when they retry.
        """
        asked.set(self._work)  # in this thread's context, as the next
        set_suppress_console_output(True)  # in this thread's context; CrewAI draws boxes otherwise
        checks = self._guard.checks()
        context, error = prompts.context(self._work), answers.InvalidAnswerError()
        for _ in range(1 + _REPAIRS):
            raw = self._answer(context)
            try:
                return self._passed(checks, raw)
            except answers.InvalidAnswerError as refusal:
                error = refusal
                self._reporter.refused(str(error))
                context = prompts.with_complaint(prompts.context(self._work), raw, str(error))
        raise StepFailedError(f"{error.fault}: {error}")

    def _passed(self, checks: list[guardrails.Check], raw: str) -> dict[str, Any]:
        """Return the result of an answer. Raises InvalidAnswerError if it is not taken.

        What a guardrail puts in its place has to fit the schema as well.
        """
        prompt = self._work.prompt
        output = answers.read(raw, prompt.output_schema)
        answer = prompt.answer(output)
        kept = guardrails.passed(checks, answer)
        if kept is answer:
            return {"output": output, "raw": raw}
        raw = guardrails.text_of(prompt.with_answer(output, kept))
        return {"output": answers.read(raw, prompt.output_schema), "raw": raw}

    def _answer(self, context: str) -> str:
        """Return what a new agent answers. Raises StepFailedError, or what stopped the step."""
        with self._stop_signal.translating_errors():
            agent = self._agent()
            watching = self._watching(
                _rounds(agent, self._stop_signal), self._paced, self._reporter.sink
            )
            with watching, replaying(self._replay):
                answer = _task(self._work, agent).execute_sync(context=context or None)
        self._stop_signal.raise_if_stopped()
        return answer.raw

    def _ask(self, messages: list[dict[str, str]]) -> Any:
        """Return what a new model answers; nobody is shown it. Raises as `_answer` does."""
        with (
            self._stop_signal.translating_errors(),
            self._watching(self._paced, self._reporter.silent_sink),
        ):
            return guardrails.asking(self._llm())(messages)

    def _agent(self) -> Agent:
        prompt = self._work.prompt
        agent = self._work.definition.agents[prompt.agent]
        tools = bind(prompt.tools, self._deps.tools, self._context, self._bounds)
        return Agent(
            role=agent.role_text,
            goal=agent.goal,
            backstory=agent.backstory,
            llm=self._llm(),
            tools=list(tools),
            max_iter=agent.max_iter,
            executor_class=StepExecutor,
            max_retry_limit=0,  # the model's call is repeated; a whole task is paid for again
            # What is too long fails. CrewAI would have the model summarise it, or put it in files
            # with a tool of its own to read them, and guesses 8,192 tokens for models it does not
            # know: the answer would rest on data that the agent never saw.
            respect_context_window=False,
            use_better_compaction=False,
        )

    def _llm(self) -> BaseLLM:
        llm = with_retries(
            self._deps.llm(self._work.choice),
            self._stop_signal,
            self._deps.retries,
            self._reporter,
            has_tools=bool(self._work.prompt.tools),
        )
        return self._replay.model(llm)

    def _paced(self, _source: object, event: object) -> None:
        """Wait before a model call for the agent's turn; before its money is held, not after.

        A long wait puts the step off, which goes on with this call then.
        """
        if not isinstance(event, LLMCallStartedEvent):
            return
        work, name = self._work, self._work.prompt.agent
        patience = self._deps.retries.in_place
        seconds = self._deps.rate_limiter.wait_seconds(
            (work.tenant, work.flow, name), work.definition.agents[name].max_rpm, patience
        )
        if seconds > patience:
            reason = f"{name} has made its calls of this minute (max_rpm)"
            self._stop_signal.stop(StepDeferredError(reason, seconds, passes=True))
        self._stop_signal.pause(seconds)

    @contextmanager
    def _watching(self, *sinks: StreamSink) -> Generator[None]:
        """Have the sinks told what happens in this context and the threads started from it."""
        hooks = {InterceptionPoint.PRE_MODEL_CALL: [self._reporter.before_model_call]}
        tokens = [add_stream_sink(sink) for sink in (*sinks, *self._watchers)]
        try:
            with scoped_hooks(hooks):
                yield
        finally:
            for token in reversed(tokens):
                reset_stream_sinks(token)


def _input_ids(work: StepTask) -> frozenset[str]:
    """Return the ids of the inputs that the flow was launched with, wherever they stand."""
    return frozenset(INPUT_ID.findall(json.dumps(work.inputs)))


def _task(work: StepTask, agent: Agent) -> Task:
    return Task(
        name=work.prompt.step,
        description=work.prompt.description,
        expected_output=prompts.expected_output(work.prompt),
        agent=agent,
    )


def _rounds(agent: Agent, stop_signal: StopSignal) -> StreamSink:
    """Return a sink that ends the step where CrewAI would force an answer out of its agent."""

    def sink(_source: object, event: object) -> None:
        executor = agent.agent_executor
        if isinstance(event, LLMCallStartedEvent) and executor is not None:
            if executor.iterations < agent.max_iter:
                return
            message = f"the agent gave no answer in {agent.max_iter} rounds (max_iter)"
            stop_signal.stop(StepFailedError(message))
            stop_signal.raise_if_stopped()

    return sink

"""The runner: CrewAI behind the port `CrewRunner`, each step in a thread of its own."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from crewai import BaseLLM

from core.adapters.crewai.model_calls import ModelRetryPolicy
from core.adapters.crewai.provider_logs import silence
from core.adapters.crewai.rate_limiter import RateLimiter
from core.adapters.crewai.step_try import RunnerDeps, StepTry
from core.adapters.crewai.stop_signal import StopSignal
from core.adapters.crewai.threads import FlowThreads
from core.adapters.crewai.tools import TOOL_SECONDS, check
from core.blobs import BlobStore
from core.costs.prices import PriceBook
from core.costs.prompt_history import PromptHistory
from core.costs.tenant_prices import KnownPrices
from core.crews.crew_runner import (
    Guardrail,
    Session,
    StepTask,
    Tool,
)
from core.crews.ledger import FencedError
from core.crews.telemetry import CallTelemetry


class CrewAIRunner:
    """Runs steps through CrewAI.

    `model` makes a fresh LLM, `named_model` one that a tenant chose; `tools` and `guardrails` are what this deployment's crews may name.

    Raises ValueError for a tool that takes no context. One call of a tool has `tool_seconds`.

    The LLM must emit CrewAI's events of a call started, completed and failed, as all of its own do:
    money, messages and the bound on an agent's rounds hang on them.
    """

    def __init__(
        self,
        model: Callable[[], BaseLLM],
        tools: Mapping[str, Tool],
        guardrails: Mapping[str, Guardrail],
        prices: PriceBook,
        blobs: BlobStore,
        *,
        rate_limiter: RateLimiter | None = None,
        retries: ModelRetryPolicy | None = None,
        tool_seconds: float = TOOL_SECONDS,
        named_model: Callable[[str], BaseLLM] | None = None,
        telemetry: CallTelemetry | None = None,
    ) -> None:
        silence()
        for name, tool in tools.items():
            check(name, tool)
        self._deps = RunnerDeps(
            model,
            tools,
            guardrails,
            KnownPrices(prices),
            blobs,
            rate_limiter or RateLimiter(),
            retries or ModelRetryPolicy(),
            tool_seconds,
            FlowThreads(),
            PromptHistory(),
            named_model,
            telemetry,
        )

    def is_at_work(self, tenant: str, flow: str) -> bool:
        """Tell whether a thread of the flow goes on: one that was cancelled, or a tool that is late."""
        return self._deps.threads.is_at_work(tenant, flow)

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Run the step; see the port.

        A thread cannot be cancelled: after a cancellation it ends before its next model call.
        """
        stop_signal = StopSignal()
        a_try = StepTry(work, session, self._deps, stop_signal)
        try:
            running = self._deps.threads.start(work.tenant, work.flow, work.prompt.step, a_try.run)
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            stop_signal.stop(FencedError("the step was cancelled"))
            a_try.close()
            raise

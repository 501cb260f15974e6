"""The runner: CrewAI behind the port `CrewRunner`, each step in a thread of its own."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from crewai import BaseLLM

from core.adapters.crewai.attempt import Attempt, Parts
from core.adapters.crewai.failures import Standing
from core.adapters.crewai.pace import Pace
from core.adapters.crewai.threads import in_thread
from core.blobs import BlobStore
from core.costs.prices import PriceBook
from core.crews.ledger import FencedError
from core.crews.work import Guardrail, Session, StepTask, Tool


class CrewAIRunner:
    """Runs steps through CrewAI.

    `model` makes a fresh LLM; `tools` and `guardrails` are what this deployment's crews may name.

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
        pace: Pace | None = None,
    ) -> None:
        self._parts = Parts(model, tools, guardrails, prices, blobs, pace or Pace())

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Run the step; see the port.

        A thread cannot be cancelled: after a cancellation it ends before its next model call.
        """
        standing = Standing()
        attempt = Attempt(work, session, self._parts, standing)
        try:
            return await asyncio.wrap_future(in_thread(work.prompt.step, attempt.run))
        except asyncio.CancelledError:
            standing.stop(FencedError("the step was cancelled"))
            raise

"""What the journal of a step costs, and what it saves a step that is begun again."""

import json
import statistics
import time
from functools import partial
from typing import Any

from crewai.events.types.llm_events import LLMCallType  # noqa: TID253 -- what is compared with
from crewai.llms.base_llm import llm_call_context  # noqa: TID253 -- as above
from pydantic import Field

from benchmarks.crew_parts import CREW, TENANT, USAGE, Office, SteadyModel
from benchmarks.parts import Parts
from benchmarks.report import Figure
from core.crews.outcomes import Outcome

CALLS, LONG_CALLS, CALL_SECONDS, WARM_UPS = 8, 12, 0.05, 2
TASKS = {"collect": CREW.tasks["collect"]}
AGENT = CREW.agents["researcher"].model_copy(update={"tools": ["look"], "max_iter": 20})
LONG = CREW.model_copy(update={"tasks": TASKS, "agents": {"researcher": AGENT}})


class LoopingModel(SteadyModel):
    """Asks for a tool in each of its `calls` but the last; `asked_at` has when it was asked that."""

    calls: int = CALLS
    asked_at: list[float] = Field(default_factory=list[float], exclude=True)

    def supports_function_calling(self) -> bool:
        return True

    def call(self, messages: Any, tools: Any = None, *rest: Any, **told: Any) -> Any:
        number = 1 + sum(message["role"] == "tool" for message in messages)
        if number == self.calls:
            self.asked_at.append(time.perf_counter())
            return super().call(messages, tools, *rest, **told)
        source = {name: told.get(name) for name in ("from_task", "from_agent")}
        function = {"name": "look", "arguments": json.dumps({"at": f"quay {number}"})}
        said = [{"id": f"call_{number}", "type": "function", "function": function}]
        with llm_call_context():
            self._emit_call_started_event(messages, tools=tools, **source)
            self.asked.append(number)
            time.sleep(self.seconds)
            self._emit_call_completed_event(said, LLMCallType.TOOL_CALL, usage=USAGE, **source)
            return said


def look(_context: object, at: str) -> str:
    """Look at a place."""
    return f"a ferry at {at}"


class TimeFor:
    """The clock of a host that has time for so many calls of a model in all."""

    limit_seconds = 600.0

    def __init__(self, model: LoopingModel, calls: int) -> None:
        self._model, self._calls = model, calls

    def seconds_left(self) -> float:
        """Return what is left."""
        return 300.0 if len(self._model.asked) < self._calls else 0.5


def an_office(running: Parts, model: LoopingModel, *, journals: bool = True) -> Office:
    return Office(running, partial(model.model_copy), {"look": look}, journals=journals)


async def journal_overhead(running: Parts, pairs: int) -> Figure:
    """Run steps of eight calls of a model that answers at once, with a journal and without, in turns."""
    model = LoopingModel(model="openai/gpt-4o-mini")
    offices = [an_office(running, model, journals=kept) for kept in (True, False)]
    took: tuple[list[float], list[float]] = [], []
    for pair in range(WARM_UPS + pairs):
        for which in (0, 1) if pair % 2 else (1, 0):
            flow = await offices[which].launch(LONG)
            start = time.perf_counter()
            await offices[which].run(flow)
            if pair >= WARM_UPS:
                took[which].append(time.perf_counter() - start)
            await offices[which].ended(flow)
    kept, none = (statistics.median(each) for each in took)
    seen = f"{kept * 1000:.1f} ms a step of {CALLS} calls, {none * 1000:.1f} without, {pairs} pairs"
    return Figure("journal_overhead", round(kept / none, 3), "<= 1.1", seen)


async def replayed_calls(running: Parts, times: int) -> Figure:
    """Begin a step again that has twelve calls in its journal; take the time to its next one.

    Beside it: twelve calls of a model that takes 50 ms for each, as the first time.
    """
    model = LoopingModel(model="openai/gpt-4o-mini", calls=LONG_CALLS + 1)
    office, first, again = an_office(running, model), list[float](), list[float]()
    for _ in range(WARM_UPS + times):
        model.asked.clear()
        flow = await office.launch(LONG)
        model.seconds = CALL_SECONDS
        start = time.perf_counter()
        outcome = await office.worker.run_flow(TENANT, flow, TimeFor(model, LONG_CALLS))
        first.append(time.perf_counter() - start)
        if outcome is not Outcome.OUT_OF_TIME or len(model.asked) != LONG_CALLS:
            raise RuntimeError(f"the step did not stop after {LONG_CALLS} calls")
        model.seconds = 0.0
        start = time.perf_counter()
        await office.run(flow)
        again.append(model.asked_at[-1] - start)
        if len(model.asked) != LONG_CALLS + 1:
            raise RuntimeError("a recorded call was made again")
        await office.ended(flow)
    begun, whole = statistics.median(again[WARM_UPS:]), statistics.median(first[WARM_UPS:])
    bound = 0.1 * LONG_CALLS * CALL_SECONDS * 1000
    seen = (
        f"from the worker's visit to call {LONG_CALLS + 1}; {LONG_CALLS} calls at"
        f" {CALL_SECONDS * 1000:.0f} ms took {whole * 1000:.0f} ms; {times} times"
    )
    return Figure("replayed_calls_ms", round(begun * 1000, 1), f"<= {bound:.0f}", seen)

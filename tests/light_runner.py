"""A CrewRunner that is light enough to be killed hundreds of times: two model calls for each step.

It keeps the contract of a runner as CrewAI's does: money is held before each call and settled after
it, and once the session says that the step is lost no further call is begun.
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable
from typing import Any

from core.adapters.crewai.threads import in_thread
from core.costs.usage import Usage
from core.crews.crew_runner import CrewRunner, Session, StepDeferredError, StepTask
from core.flows import events
from core.flows.events import Event
from tests.fault_crews import CALLS_PER_STEP, as_result

MODEL = "counted"
BOUND = Usage(calls=1, input_tokens=1000, output_tokens=100, cost_nanodollars=11_000)
PRICE = Usage(calls=1, input_tokens=100, output_tokens=10, cost_nanodollars=1_100)
TIMEOUT_SECONDS = 90.0
PUT_OFF_SECONDS = 0.2
Passed = Callable[[str, str], None]


class BrokenError(Exception):
    """What a step that cannot work stops with."""


class LightRunner(CrewRunner):
    """Asks the model at `url`; tells `passed` of each boundary. The step `broken` always raises.

    With `puts_off` each step is put off once, after its first call. `padding` characters are added
    to what the model said.
    """

    def __init__(
        self,
        url: str,
        passed: Passed,
        broken: str = "",
        *,
        puts_off: bool = False,
        padding: int = 0,
    ) -> None:
        self._url, self._passed, self._broken = f"{url}/chat/completions", passed, broken
        self._puts_off, self._padding = puts_off, padding

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Return the last answer as the step's result."""
        text = ""
        if work.prompt.step == self._broken:
            raise BrokenError
        for number in range(1, CALLS_PER_STEP + 1):
            text = await self._call(work, session, number)
            if self._puts_off and work.deferrals == 0:
                raise StepDeferredError("the model is busy", PUT_OFF_SECONDS)
        return as_result(text, work.prompt.output_schema, self._padding)

    async def _call(self, work: StepTask, session: Session, number: int) -> str:
        held = await asyncio.to_thread(session.reserve, MODEL, BOUND)
        asking = in_thread(work.prompt.step, lambda: self._answered(work, session, held, number))
        return await asyncio.wrap_future(asking)

    def _answered(self, work: StepTask, session: Session, held: str, number: int) -> str:
        """Ask and settle in one thread: what was asked for is paid, though nobody waits any more."""
        text = self._asked(work, number)
        self._passed("called", work.prompt.step)
        session.settle(held, PRICE, _told(work, number, text))
        return text

    def _asked(self, work: StepTask, number: int) -> str:
        asked = work.prompt
        about = {"tenant": work.tenant, "flow": work.flow, "step": asked.step,
                 "attempt": work.attempt, "deferrals": work.deferrals, "number": number}  # fmt: skip
        messages = [{"role": "user", "content": asked.description}]
        body = json.dumps({"model": MODEL, "messages": messages, "metadata": about}).encode()
        request = urllib.request.Request(self._url, body, {"content-type": "application/json"})  # noqa: S310 -- the test's own server
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:  # noqa: S310 -- likewise
            return json.load(reply)["choices"][0]["message"]["content"]


def _told(work: StepTask, number: int, text: str) -> list[Event]:
    step = work.prompt.step
    name = f"{step}-{work.attempt}-{work.deferrals}-{number}"
    told = {"step": step, "attempt": work.attempt, "deferrals": work.deferrals, "number": number}
    return [
        *events.text_message(name, text),
        *events.custom("counted", told),
        *events.model_call(step, MODEL, PRICE),
    ]

"""Tries: how often a step's answers were begun, and what those cost that were no use.

Told by the events of a step: an answer is refused, a model call is made again, a step has failed and
is tried again. What a try cost in vain is known only once it has failed, so it is recorded with the
call that follows, and costs no write of its own; but for the last one of a step that fails for good.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from core.costs.facts import EFFORTS, Facts, added, of_late
from core.costs.recording import RecordedCall, UsageBook
from core.costs.usage import Usage
from core.crews.crew_runner import StepTask
from core.crews.ledger import Claim
from core.crews.step_ids import version_of
from core.errors import UnavailableError
from core.flows import Flow
from core.flows.events import Event

log = logging.getLogger(__name__)

# Events -> why what was called before was no use.
_FAILED = {"answer_refused": "refused", "model_call_repeated": "error", "step_failed": "retry"}


class Tries:
    """The tries of one claimed step. Thread-safe.

    `is_resumed`: it was begun before, so what it asks at first is what it asked then. `is_checked`: a
    schema, a guardrail or a person may refuse its answers. `is_revision`: a person did, the one before.
    """

    def __init__(
        self,
        *,
        is_resumed: bool = False,
        is_unattended: bool = False,
        is_checked: bool = False,
        is_revision: bool = False,
        quality: str = "high",
    ) -> None:
        self._lock = threading.Lock()
        self._is_unattended, self._is_checked = is_unattended, is_checked
        self._asks_again, self._failed = is_resumed, False
        self._quality = quality  # that is required
        self._begins, self._follows_failed = True, is_revision
        self._of_try, self._of_call = (0, 0), (0, 0)  # calls, nano-dollars
        self._wasted = dict[str, int]()  # not recorded yet
        self.was_refused = False  # an answer, or all of an attempt
        self._model = ""  # of the last call

    def called(self, model: str) -> None:
        """Note that another call is made."""
        with self._lock:
            self._model, self._of_call = model, (0, 0)

    def heard(self, new: Sequence[Event]) -> None:
        """Note what is told of tries that failed."""
        for event in new:
            if event["type"] == "CUSTOM" and (why := _FAILED.get(event["name"])):
                with self._lock:
                    self._fail(why)

    def facts(self, usage: Usage, facts: Facts) -> dict[str, int]:
        """Return the facts of a call that is settled, its own and those of its tries."""
        with self._lock:
            of_tries = self._wasted | self._begun(facts)
            self._wasted = {}
            self._of_call = usage.calls, usage.cost_nanodollars
            self._of_try = _sum(self._of_try, self._of_call)
            failed, self._failed = self._failed, False
            if self._asks_again or failed:  # what is repeated is no duplicate
                facts = {name: n for name, n in facts.items() if not name.startswith("repeats")}
        late = of_late(usage) if self._is_unattended else {}
        return added(facts, of_tries, late)

    def given_up(self) -> tuple[str, dict[str, int]]:
        """Return the facts that no further call will tell of, now that the step failed; and the model."""
        with self._lock:
            self._fail("failed")
            wasted, self._wasted = self._wasted, {}
        return self._model, wasted

    def _begun(self, facts: Facts) -> dict[str, int]:
        if not self._begins:
            return {}
        self._begins, again = False, int(self._follows_failed)
        begun = {"tries": 1, "tries_again": again, "tries_checked": int(self._is_checked)}
        begun |= {f"quality_{self._quality}": 1} if self._quality != "high" else {}
        for effort in EFFORTS:
            if f"effort_{effort}_n" in facts:
                begun |= {f"effort_{effort}_tries": 1, f"effort_{effort}_again": again}
        return begun

    def _fail(self, why: str) -> None:
        self._failed = True
        calls, cost = self._of_call if why == "error" else self._of_try
        wasted = {f"wasted_{why}_n": calls, f"wasted_{why}_cost": cost}
        self._wasted = added(self._wasted, wasted)
        if why == "error":
            self._of_try, self._of_call = _sum(self._of_try, (-calls, -cost)), (0, 0)
            return
        self._of_try, self.was_refused = (0, 0), True
        self._begins, self._follows_failed = True, True
        self._asks_again = self._asks_again or why == "retry"


def _sum(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def tries_of(work: StepTask, claim: Claim, known: Flow) -> Tries:
    """Return the tries of a step that was claimed."""
    task, prompt = work.definition.tasks[work.prompt.task], work.prompt
    return Tries(
        is_resumed=claim.epoch > 1,
        is_unattended=is_unattended(known.webhooks),
        is_checked=bool(prompt.output_schema or prompt.guardrails or task.human_input),
        is_revision=version_of(prompt.step) is not None,
        quality=task.required_quality,
    )


async def record_failed(
    book: UsageBook, tries: Tries, claim: Claim, names: tuple[str, str, str, str], now_ms: int
) -> None:
    """Record once what the last try of a failed step cost in vain, under its crew, task, agent and subject.

    The failure counts whether this can be written or not.
    """
    model, wasted = tries.given_up()
    if not wasted:
        return
    call = f"{claim.flow}.{claim.step}.{claim.epoch} failed"  # calls made elsewhere have no such id
    facts = RecordedCall(call, now_ms, (*names, model), Usage(), None, "", wasted)
    try:
        await book.record(claim.tenant, [facts])
    except UnavailableError:
        log.warning("what a failed step cost is not told among what could be saved")


def is_unattended(webhooks: Mapping[str, Any]) -> bool:
    """Tell whether nobody waits for a flow's steps: a webhook tells its end, and none its steps."""
    return "crew" in webhooks and not {"step", "task"} & webhooks.keys()

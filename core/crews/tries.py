"""Tries: how often a step's answers were begun, and what those cost that were no use.

Told by the events of a step: an answer is refused, a model call is made again, a step has failed and
is tried again. What a try cost in vain is known only once it has failed, so it is recorded with the
call that follows, and costs no write of its own.
"""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from core.costs.facts import EFFORTS, Facts, added, of_late
from core.costs.usage import Usage
from core.flows.events import Event

# Events -> why what was called before was no use.
_FAILED = {"answer_refused": "refused", "model_call_repeated": "error", "step_failed": "retry"}


class Tries:
    """The tries of one claimed step. Thread-safe.

    `is_resumed`: it was begun before, so what it asks at first is what it asked then.
    """

    def __init__(self, *, is_resumed: bool = False, is_unattended: bool = False) -> None:
        self._lock = threading.Lock()
        self._is_unattended = is_unattended
        self._asks_again = is_resumed
        self._begins, self._follows_failed = True, False
        self._of_try, self._of_call = (0, 0), (0, 0)  # calls, nano-dollars
        self._wasted = dict[str, int]()  # not recorded yet
        self.was_refused = False  # an answer, or all of an attempt

    def called(self) -> None:
        """Note that another call is made."""
        with self._lock:
            self._of_call = 0, 0

    def heard(self, told: Sequence[Event]) -> None:
        """Note what is told of tries that failed."""
        for event in told:
            if event["type"] == "CUSTOM" and (why := _FAILED.get(event["name"])):
                with self._lock:
                    self._fail(why)

    def facts(self, usage: Usage, facts: Facts) -> dict[str, int]:
        """Return the facts of a call that is settled, its own and those of its tries."""
        with self._lock:
            told = self._wasted | self._begun(facts)
            self._wasted = {}
            self._of_call = usage.calls, usage.cost_nanodollars
            self._of_try = _sum(self._of_try, self._of_call)
            if self._asks_again:  # what is repeated is no duplicate
                facts = {name: n for name, n in facts.items() if not name.startswith("repeats")}
        late = of_late(usage) if self._is_unattended else {}
        return added(facts, told, late)

    def _begun(self, facts: Facts) -> dict[str, int]:
        if not self._begins:
            return {}
        self._begins, again = False, int(self._follows_failed)
        told = {"tries": 1, "tries_again": again}
        for effort in EFFORTS:
            if f"effort_{effort}_n" in facts:
                told |= {f"effort_{effort}_tries": 1, f"effort_{effort}_again": again}
        return told

    def _fail(self, why: str) -> None:
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


def is_unattended(webhooks: Mapping[str, Any]) -> bool:
    """Tell whether nobody waits for a flow's steps: a webhook tells its end, and none its steps."""
    return "crew" in webhooks and not {"step", "task"} & webhooks.keys()

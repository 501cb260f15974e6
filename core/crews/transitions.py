"""Transitions: a flow begins to wait for a person, succeeds, or fails; its log says so."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from core.blobs import BlobRef
from core.costs.trials import Signal
from core.crews.ledger import FOR_MONEY, RunLedger
from core.crews.outcomes import MoneyWait
from core.crews.strategies import Wait
from core.crews.trials import outcomes
from core.flows import Flow, Status, events
from core.flows.state import output_ref, shown_result
from core.flows.values import LargeValues, draft_blob, output_blob
from core.time_of_day import NowMs


@dataclass(frozen=True, slots=True)
class Transitions:
    """Moves the flows of one tenant on from a state that was read.

    Every method raises FencedError if the flow has moved on since, TooLargeError and
    UnavailableError.
    """

    ledger: RunLedger
    values: LargeValues
    tenant: str
    now_ms: NowMs
    deployed_model: str | None = None  # as of `core.crews.trials.outcomes`

    async def wait(self, state: Flow, wait: Wait) -> None:
        """Have a flow wait for a person's answer."""
        waiting = {
            "review": wait.name,
            "reason": "person",
            "task": wait.task,
            "step": wait.step,
            "agent": wait.agent,
            **await self._draft(state, wait),
        }
        await self.ledger.transition(
            self.tenant,
            state.id,
            Status.WAITING,
            status_epoch=state.status_epoch,
            events=events.stamped(events.custom("waiting", waiting), self.now_ms()),
            waiting=waiting,
        )

    async def wait_for_money(self, state: Flow, wait: MoneyWait) -> None:
        """Have a flow wait until a budget has room for its next call."""
        refusal = wait.refusal
        waiting = {
            "reason": FOR_MONEY,
            "budget": refusal.budget,
            "left_nanodollars": refusal.headroom_nanodollars,
            "needed_nanodollars": refusal.needed_nanodollars,
            "until_ms": refusal.until_ms,
        }
        await self.ledger.transition(
            self.tenant,
            state.id,
            Status.WAITING,
            status_epoch=state.status_epoch,
            events=events.stamped(events.custom("budget_exhausted", waiting), self.now_ms()),
            waiting=waiting,
            budgets_version=refusal.budgets_version,
        )

    async def try_again(self, state: Flow) -> None:
        """Have a flow go on that waited for money: if there is still none, it waits again."""
        waited = {"budget": (state.waiting or {}).get("budget")}
        await self.ledger.transition(
            self.tenant,
            state.id,
            Status.RUNNING,
            status_epoch=state.status_epoch,
            events=events.stamped(events.custom("budget_retried", waited), self.now_ms()),
        )

    async def _draft(self, state: Flow, wait: Wait) -> dict[str, Any]:
        """Return the draft that a person is asked about, or where that is read."""
        blob = draft_blob(state.id, state.head.incarnation, wait.name)
        kept = await self.values.keep(self.tenant, blob, wait.output)
        if not isinstance(kept, BlobRef):
            return {"output": kept}
        return {"output": None, "output_ref": output_ref(state.id, kept.bytes, wait.name)}

    async def succeed(self, state: Flow, output: Any) -> None:
        """End a flow with its output; a large one is stored first."""
        blob = output_blob(state.id, state.head.incarnation)
        output = await self.values.keep(self.tenant, blob, output)
        finished = events.run_finished(state.id, shown_result(state.id, output))
        await self.ledger.transition(
            self.tenant,
            state.id,
            Status.SUCCEEDED,
            status_epoch=state.status_epoch,
            events=events.stamped(finished, self.now_ms()),
            output=output,
        )

    async def fail(self, state: Flow, message: str, code: str, tasks: Collection[str] = ()) -> None:
        """End a flow that cannot go on; `message` is for the user, `code` stands in RUN_ERROR.

        `tasks` are those that it cannot go on for.
        """
        await self.ledger.transition(
            self.tenant,
            state.id,
            Status.FAILED,
            status_epoch=state.status_epoch,
            events=events.stamped(events.run_error(message, code), self.now_ms()),
            error=message,
            outcomes=outcomes(state, tasks, Signal.ANSWERS, 0.0, self.deployed_model),
        )

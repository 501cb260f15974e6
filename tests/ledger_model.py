"""What the ports of a ledger promise of one flow, kept beside the store and compared with it."""

import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from hypothesis.stateful import RuleBasedStateMachine, invariant

from core.costs.rollup import Names
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, ExpiredError, FencedError
from core.flows import Flow, Status
from tests.cells import cells_of
from tests.fixtures_ports import view
from tests.ledger_world import Held, World, coroutine, versions

T = TypeVar("T")


class LedgerModel(RuleBasedStateMachine):
    """What is known of one flow by what was asked of the ports, and how calls are made."""

    names = itertools.count(1)

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.flows, self.flow = world, world.flows, f"f{next(self.names)}"
        self.steps: dict[str, Held] = {}
        self.claims: list[Claim] = []
        self.sent: list[Callable[[], Awaitable[Any]]] = []  # and answered
        self.open: dict[str, Call] = {}
        self.lost: dict[str, Call] = {}
        self.late = 0  # answers of lost calls after the end, which are no events
        self.counted = Usage()
        self.results: dict[str, Any] = {}
        self.status, self.status_epoch, self.over = Status.QUEUED, 0, False
        self.moved: tuple[Any, ...] = ()  # what the last transition brought
        self.known: list[Flow] = []  # states that somebody has read
        self.spent_before: dict[Names, Usage] = {}

    # How calls are made

    def call(self, call: Callable[[], Awaitable[T]], refused: type[Exception] | None) -> T | None:
        """Call; it must be refused in that way, or not at all."""
        try:
            reply = self.world.run(coroutine(call))
        except (FencedError, ExpiredError) as error:
            if type(error) is not refused:
                raise AssertionError(f"refused, instead of {refused}") from error
            return None
        assert refused is None, f"{reply} instead of {refused}"
        self.sent.append(call)
        return reply

    def whole(self) -> Flow:
        return self.world.run(self.flows.ledger.state(self.flows.tenant, self.flow))

    def some_known(self, which: int) -> Flow:
        """Return a state that was read some time."""
        return self.known[-1 - which % len(self.known)]

    @property
    def ended(self) -> bool:
        return self.status.terminal

    def holds(self, claim: Claim) -> bool:
        held = self.steps[claim.step]
        return held.epoch == claim.epoch and held.state == "running" and not self.ended

    def lose(self, step: str | None = None) -> None:
        for name, call in list(self.open.items()):
            if step in (None, call.step):
                del self.open[name]
                self.counted += call.bound.lost()
                self.lost[name] = call

    # What must hold

    @invariant()
    def the_flow_is_whole(self) -> None:
        state = self.whole()
        entries = self.world.run(self.flows.log.entries(self.flows.tenant, self.flow, 0, 10_000))
        assert [entry.number for entry in entries] == list(range(1, state.head.last_event + 1))
        told = [json.loads(entry.json) for entry in entries]
        assert versions(told) == list(range(2, state.head.version + 1 - self.late))
        late = {"usage": state.usage.public(), "version": state.head.version} if self.late else {}
        assert view(told) | late == state.public()
        self.model_is_right(state)

    @invariant()
    def the_flow_is_due_in_time(self) -> None:
        """When a lease ends at the latest; also where others beat. One that waits need not be."""
        state, due = self.whole(), self.world.due_at(self.flow)
        assert (due is None) is self.ended
        leases = [step.lease_ms for step in state.steps if step.state == "running"]
        if due is not None and self.status is not Status.WAITING:
            assert due <= max(self.world.now_ms(), min(leases, default=due))

    def model_is_right(self, state: Flow) -> None:
        assert (state.head.status, state.status_epoch) == (self.status, self.status_epoch)
        assert (state.results, state.usage) == (self.results, self.counted)
        assert [(s.id, s.state, s.epoch, s.attempts) for s in state.steps] == [
            (name, held.state, held.epoch, held.attempts) for name, held in self.steps.items()
        ]

    def spent(self) -> dict[Names, Usage]:
        flows = self.flows
        spent = self.world.run(cells_of(flows.spending, flows.tenant, [self.world.today()]))
        return {of.names: of.usage for of in spent}

"""Budgets under any sequence of calls, beside what a provider charges for them.

A provider charges for a call from the moment in which it is made, whether or not anybody hears what
it cost. So what a budget has spent and holds must never be less than the charges, nor more than its
limit, whatever becomes of the workers.
"""

import contextlib
import itertools
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.costs.budget import Budget, Scope, Verdict
from core.costs.usage import Usage
from core.costs.windows import Window
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, FencedError, StepWrite
from core.flows import Status
from tests.fixtures_ports import a_launch
from tests.ledger_world import World, coroutine

WHOLE = 1_000_000  # nano-dollars: a call's bound
LATEST = st.integers(0, 5)  # of what there is, counted from the end


@dataclass
class Made:
    """A call that was made, and what the provider charges for it."""

    call: Call
    charge: int
    state: str = "open"  # open | settled | lost | corrected

    @property
    def counted(self) -> int:
        """What the budgets count it as."""
        unknown = self.state in ("open", "lost")
        return self.call.bound.cost_nanodollars if unknown else self.charge


class BudgetMachine(RuleBasedStateMachine):
    """One flow of two steps, whose workers are late, die, and say everything twice."""

    names = itertools.count(1)

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.tenant = world, f"machine{next(self.names)}"
        self.flows = replace(world.flows, tenant=self.tenant)
        self.claims: dict[str, Claim] = {}
        self.numbers = itertools.count(1)
        self.made: list[Made] = []
        self.limits: dict[str, tuple[int, str]] = {}  # limit and model of each hard budget
        self.ended = False

    def run(self, call):
        return self.world.run(call)

    def save(self, name: str, calls: float, scope: Scope, model: str) -> None:
        limit = round(calls * WHOLE)
        self.limits[name] = limit, model
        budget = Budget(name, scope, Window.DAY, limit, name=model or "*")
        self.run(self.flows.budgets.save(self.tenant, budget))

    @initialize(calls=st.sampled_from([0.5, 1, 2.5, 10]), of_model=st.sampled_from([0.5, 1, 2.5]))
    def launch(self, calls: float, of_model: float) -> None:
        self.save("all", calls, Scope.TENANT, "")
        self.save("model", of_model, Scope.MODEL, "a")
        soft = Budget("soft", Scope.CREW, Window.DAY, WHOLE, hard=False)
        self.run(self.flows.budgets.save(self.tenant, soft))
        self.run(self.flows.ledger.create(self.tenant, a_launch("f1")))
        self.claim("one")
        self.claim("two")

    def claim(self, step: str) -> None:
        known = self.run(self.flows.ledger.state(self.tenant, "f1"))
        seen = next(each for each in known.steps if each.id == step)
        claim = self.run(
            self.flows.ledger.claim(
                self.tenant, "f1", seen, owner=f"{step}{seen.epoch}", lease_ms=1, events=[]
            )
        )
        assert isinstance(claim, Claim)
        self.lose(step)
        self.claims[step] = claim
        self.world.pass_time()

    def lose(self, step: str | None = None) -> None:
        for made in self.made:
            if made.state == "open" and step in (None, made.call.step):
                made.state = "lost"

    @precondition(lambda self: not self.ended)
    @rule(
        step=st.sampled_from(["one", "two"]),
        model=st.sampled_from("ab"),
        share=st.sampled_from([0.25, 1, 10]),
        charged=st.floats(0, 1),
        twice=st.booleans(),
    )
    def ask(self, step: str, model: str, share: float, charged: float, twice: bool) -> None:
        """Reserve; who is granted it makes the call, and who is short of money a smaller one."""
        bound = round(share * WHOLE)
        call = self.a_call(step, model, bound)
        refusal = self.run(self.flows.calls.reserve(call))
        if refusal is not None and refusal.verdict is Verdict.SHORT:
            bound = refusal.headroom_nanodollars
            call = replace(call, bound=Usage(1, 1, 1, bound))
            refusal = self.run(self.flows.calls.reserve(call))
            assert refusal is None
        if refusal is not None:
            assert self.is_right(call, refusal.verdict)
            return
        if twice:
            assert self.run(self.flows.calls.reserve(call)) is None
        self.made.append(Made(call, round(charged * bound)))

    def a_call(self, step: str, model: str, bound: int) -> Call:
        claim, least = self.claims[step], min(bound, WHOLE // 8)
        return Call(
            self.tenant, "f1", step, claim.epoch, next(self.numbers), model, "c", "t",
            Usage(1, 1, 1, bound), least_nanodollars=least,
        )  # fmt: skip

    def is_right(self, call: Call, verdict: Verdict) -> bool:
        """Tell whether money that is lacking is said to be held, or spent, as it is."""
        bound, least = call.bound.cost_nanodollars, call.least_nanodollars or 0
        for limit, model in self.limits.values():
            if model in ("", call.model):
                counted = [m for m in self.made if model in ("", m.call.model)]
                spent = sum(m.counted for m in counted if m.state != "open")
                lacks = bound > limit - spent - sum(m.counted for m in counted if m.state == "open")
                if lacks and (verdict is Verdict.HELD or least > limit - spent):
                    return True
        return False

    @precondition(lambda self: self.made)
    @rule(which=LATEST, times=st.integers(1, 3))
    def settle(self, which: int, times: int) -> None:
        made = self.made[-1 - which % len(self.made)]
        for _ in range(times):
            with contextlib.suppress(FencedError):
                usage = Usage(1, 1, 1, made.charge)
                self.run(coroutine(lambda: self.flows.calls.settle(made.call, usage, [])))  # noqa: B023 -- it is awaited here
        made.state = {"open": "settled", "lost": "corrected"}.get(made.state, made.state)

    @precondition(lambda self: not self.ended)
    @rule(step=st.sampled_from(["one", "two"]), gives_back=st.booleans())
    def another_worker(self, step: str, gives_back: bool) -> None:
        """A worker dies, or gives its step back; the next one takes it."""
        if gives_back:
            release = self.flows.ledger.release
            self.run(release(self.claims[step], 1, StepWrite(), delay_ms=0, reason="stops"))
            self.lose(step)
        self.claim(step)

    @rule(calls=st.sampled_from([1, 3, 20]))
    def change_a_budget(self, calls: int) -> None:
        self.save("all", max(calls, self.limits["all"][0] / WHOLE), Scope.TENANT, "")

    @precondition(lambda self: not self.ended and len(self.made) > 3)
    @rule()
    def end(self) -> None:
        cancelled = self.flows.ledger.transition(
            self.tenant, "f1", Status.CANCELLED, status_epoch=0, events=[]
        )
        self.run(cancelled)
        self.lose()
        self.ended = True

    @invariant()
    def no_budget_is_overspent_and_every_charge_is_counted(self) -> None:
        states = self.run(self.flows.budgets.all(self.tenant)).states
        for name, (limit, model) in self.limits.items():
            mine = [each for each in states if each.budget == name]
            spent = sum(each.spent_nanodollars for each in mine)
            held = sum(each.held_nanodollars for each in mine)
            made = [each for each in self.made if model in ("", each.call.model)]
            assert sum(each.charge for each in made) <= spent + held <= limit
            assert held == sum(m.counted for m in made if m.state == "open")
            assert spent == sum(m.counted for m in made if m.state != "open")

"""A ledger and its budget book under any sequence of calls, beside a model of what they promise.

The model knows a flow only by what the ports say: who holds a step, what was reserved, settled and
lost. After every call the store is compared with it. Time passes where a rule says so: a short lease
is over when the call returns, and a flow's time ends by the world's lever.
"""

import contextlib
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim, ExpiredError, FencedError, StepBusy, StepWrite
from core.flows import Status, Step, events
from tests.fixtures_ports import a_launch
from tests.ledger_model import LedgerModel
from tests.ledger_world import Held, coroutine

LONG_MS, SHORT_MS = 600_000, 1
ENDS = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
CALL_NUMBERS = st.integers(1, 3)
LATEST = st.integers(0, 3)  # of what there is, counted from the end
SELDOM = st.integers(0, 7).map(lambda n: n == 7)  # what is refused tells little more
NOW_AND_THEN = st.integers(0, 2).map(lambda n: n == 2)  # so does what ends a flow


class LedgerMachine(LedgerModel):
    """One flow, several workers of which some are late, and a person who answers."""

    # What may happen

    @initialize(count=st.integers(1, 2))
    def launch(self, count: int) -> None:
        steps = tuple(Step(f"s{n}", f"S{n}", "worker") for n in range(count))
        launch = a_launch(self.flow, steps=steps)
        create = self.flows.ledger.create
        self.call(lambda: create(self.flows.tenant, launch), None)
        self.steps = {step.id: Held() for step in steps}
        self.spent_before = self.spent()
        self.known.append(self.whole())
        self.work(0, long=False)

    @precondition(lambda self: len(self.steps) < 4)
    @rule(count=st.integers(1, 2), known=LATEST)
    def add_steps(self, count: int, known: int) -> None:
        more = range(len(self.steps) - 1, len(self.steps) - 1 + count)  # one of them is there
        steps = tuple(Step(f"s{n}", f"S{n}", "worker") for n in more)
        add_steps = self.flows.ledger.add_steps
        refused = FencedError if self.ended else None
        seen = self.some_known(known)
        state = self.call(lambda: add_steps(self.flows.tenant, seen, steps), refused)
        if state is not None:
            self.known.append(state)
            assert state == self.whole()
            self.steps |= {s.id: Held() for s in steps if s.id not in self.steps}
            assert [step.id for step in state.steps] == list(self.steps)

    @rule(which=LATEST, long=SELDOM, late=SELDOM, more=SELDOM)
    def claim(self, which: int, long: bool, late: bool, more: bool = False) -> None:
        name = list(self.steps)[which % len(self.steps)]
        held = self.steps[name]
        late = late and held.epoch > 0
        seen = Step(name, "", "", epoch=held.epoch - late)
        owner, lease = f"w{len(self.sent)}", LONG_MS if long else SHORT_MS
        told = events.custom("begun", name)
        refused = None
        if self.ended or self.status is Status.WAITING or held.state == "done" or late:
            refused = FencedError
        elif self.over:
            refused = ExpiredError
        reply = self.call(
            lambda: self.flows.ledger.claim(
                self.flows.tenant,
                self.flow,
                seen,
                owner=owner,
                lease_ms=lease,
                events=told,
                seen=self.known[-1].head.version,
                more=more,
            ),
            refused,
        )
        if refused:
            return
        if held.state == "running" and held.long:
            assert isinstance(reply, StepBusy)
            self.sent.pop()  # it may be granted when it is sent again
            return
        assert isinstance(reply, Claim)
        assert reply == Claim(self.flows.tenant, self.flow, name, held.epoch + 1)
        assert reply.attempt == held.attempts + 1
        self.steps[name] = Held(held.epoch + 1, held.attempts + 1, "running", owner, long)
        self.claims.append(reply)
        self.lose(name)
        self.status = Status.RUNNING
        self.world.pass_time()

    @rule(which=LATEST, long=SELDOM)
    def work(self, which: int, long: bool) -> None:
        """What a worker does first, so that there is often somebody to be fenced, and money."""
        before = len(self.claims)
        self.claim(which, long, late=False)
        if len(self.claims) > before:
            self.reserve(0, 2, "a")
            self.emit(0, 1, long, error=False)

    @precondition(lambda self: self.claims)
    @rule(which=LATEST, count=st.integers(0, 2), long=SELDOM, error=st.booleans())
    def emit(self, which: int, count: int, long: bool, error: bool) -> None:
        claim = self.claims[-1 - which % len(self.claims)]
        held, seq = self.steps[claim.step], self.steps[claim.step].seq + 1
        told = [event for n in range(count) for event in events.custom("told", n)]
        message = f"m{len(self.sent)}" if count else None
        write = StepWrite([*told, *(events.text_start(message) if message else [])], message)
        write = replace(write, error=f"e{len(self.sent)}" if error else None)
        refused = FencedError if not self.holds(claim) else ExpiredError if self.over else None
        lease = LONG_MS if long else SHORT_MS
        number = self.call(lambda: self.flows.ledger.emit(claim, seq, lease, write), refused)
        if refused is None:
            held.seq, held.long = seq, long
            assert number == self.whole().head.last_event
            self.world.pass_time()

    @precondition(lambda self: self.claims)
    @rule(which=LATEST)
    def release(self, which: int) -> None:
        claim = self.claims[-1 - which % len(self.claims)]
        held, seq = self.steps[claim.step], self.steps[claim.step].seq + 1
        refused = None if self.holds(claim) else FencedError
        write, release = StepWrite(events.custom("told", 1)), self.flows.ledger.release
        self.call(lambda: release(claim, seq, write, delay_ms=0, reason="stops"), refused)
        if refused is None:
            held.seq, held.state, held.attempts = seq, "pending", held.attempts - 1
            self.lose(claim.step)

    @precondition(lambda self: self.claims)
    @rule(which=LATEST, known=LATEST)
    def commit(self, which: int, known: int) -> None:
        claim = self.claims[-1 - which % len(self.claims)]
        held, result = self.steps[claim.step], {"output": len(self.sent)}
        seq, done = held.seq + 1, StepWrite(events.step_finished(claim.step))
        refused = None if self.holds(claim) else FencedError
        seen, commit = self.some_known(known), self.flows.ledger.commit
        state = self.call(lambda: commit(claim, seq, result, done, seen), refused)
        if state is not None:
            held.seq, held.state = seq, "done"
            self.results[claim.step] = result
            self.known.append(state)
            assert state == self.whole()

    @precondition(lambda self: self.claims)
    @rule(which=LATEST, number=CALL_NUMBERS, model=st.sampled_from("ab"))
    def reserve(self, which: int, number: int, model: str) -> None:
        claim = self.claims[-1 - which % len(self.claims)]
        held, call = self.steps[claim.step], self.a_call(claim, number, model)
        again = number in held.reserved
        refused = None
        if not self.holds(claim):
            refused = FencedError
        elif self.over and not again:
            refused = ExpiredError
        self.call(lambda: self.flows.calls.reserve(call), refused)
        if refused is None and not again:
            held.reserved.add(number)
            self.open[call.id] = call

    @precondition(lambda self: self.claims)
    @rule(which=LATEST, number=CALL_NUMBERS, cost=st.integers(0, 10**12))
    def settle(self, which: int, number: int, cost: int) -> None:
        claim = self.claims[-1 - which % len(self.claims)]
        call, usage = self.a_call(claim, number), Usage(1, number, 1, cost)
        ours = self.steps[claim.step].epoch == claim.epoch and not self.ended
        refused = None if ours or call.id in self.open else FencedError
        told = events.model_call(claim.step, call.model, usage)
        self.call(lambda: self.flows.calls.settle(call, usage, told), refused)
        if self.holds(claim):
            self.steps[claim.step].reserved.add(number)  # a call that was given up is not made
        if self.open.pop(call.id, None):
            self.counted += usage
        elif lost := self.lost.pop(call.id, None):
            self.counted += usage - lost.bound.lost()
            self.late += self.ended

    def a_call(self, claim: Claim, number: int, model: str = "a") -> Call:
        bound = Usage(1, 1000, 100, 10**9 + number)
        return Call(
            claim.tenant, claim.flow, claim.step, claim.epoch, number, model, "c", "t", bound
        )

    @rule(again=SELDOM, late=SELDOM)
    def wait_or_answer(self, again: bool, late: bool) -> None:
        waits = self.status is Status.WAITING
        self.move(Status.RUNNING if waits is not again else Status.WAITING, late)

    @rule(to=st.sampled_from(ENDS), late=SELDOM, really=NOW_AND_THEN)
    def end(self, to: Status, late: bool, really: bool) -> None:
        if really:
            self.move(to, late)

    def move(self, to: Status, late: bool) -> None:
        epoch = self.status_epoch - late
        name, result = f"review.{self.status_epoch}", {"approve": True}
        answered = to is Status.RUNNING and self.status is Status.WAITING
        brings = (
            to,
            {"ü": 1} if to is Status.SUCCEEDED else None,
            {"name": name} if to is Status.WAITING else None,
            (name, result) if answered else None,
        )
        refused = FencedError if self.ended or late else None
        if late and brings == self.moved:
            refused = None  # it was this transition, whose reply was lost
        before = self.whole().head.last_event
        self.call(
            lambda: self.flows.ledger.transition(
                self.flows.tenant, self.flow, to, status_epoch=epoch,
                events=events.custom("moved", to.value),
                output=brings[1], waiting=brings[2], answer=brings[3],
            ),
            refused,
        )  # fmt: skip
        if refused or late:
            assert self.whole().head.last_event == before
            return
        self.status, self.status_epoch, self.moved = to, self.status_epoch + 1, brings
        if answered:
            self.results[name] = result
        if self.ended:
            self.lose()
            left = "failed" if to is Status.FAILED else "cancelled"
            for held in self.steps.values():
                held.state = left if held.state == "running" else held.state

    @precondition(lambda self: not self.over)
    @rule(really=NOW_AND_THEN)
    def time_is_over(self, really: bool) -> None:
        if really:
            self.work(0, long=False)
            self.world.end_time(self.flow)
            deadline_ms = self.whole().deadline_ms  # moved behind the ledger's back, in all it told
            self.known = [replace(state, deadline_ms=deadline_ms) for state in self.known]
            self.over = True
            if self.claims:
                self.reserve(0, 3, "a")

    @precondition(lambda self: self.over or self.ended or self.status is Status.WAITING)
    @rule(delay_ms=st.sampled_from([0, LONG_MS]))
    def reschedule(self, delay_ms: int) -> None:
        refused = ExpiredError if self.over and not self.ended else None
        reschedule = self.flows.ledger.reschedule
        self.call(lambda: reschedule(self.flows.tenant, self.flow, delay_ms), refused)

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 10**6))
    def late_duplicates(self, which: int) -> None:
        """What was done once is never done again, however late it comes."""
        before = self.whole()
        for call in (self.sent[which % len(self.sent)], *self.sent[-4:]):
            with contextlib.suppress(FencedError, ExpiredError):
                self.world.run(coroutine(call))
        assert self.whole() == before

    @rule()
    def an_auditor_comes(self) -> None:
        """What was counted is in the roll-up, and a live flow, and no other, is due."""
        tenant = self.flows.tenant
        since = sum(self.spent().values(), start=Usage())
        assert since == sum(self.spent_before.values(), start=self.counted)
        taken = self.world.run(self.flows.ledger.lease(1000, 1000, 0))  # a lost reply takes again
        due = self.world.due_at(self.flow)
        assert (due is None) is self.ended
        assert not self.ended or (tenant, self.flow) not in taken.items

    def teardown(self) -> None:
        """In the end every reserved call has been counted: as settled, or as lost."""
        if self.steps and not self.ended:
            self.move(Status.FAILED, late=False)
            assert not self.open
        if self.steps:
            self.the_flow_is_whole()
            self.an_auditor_comes()

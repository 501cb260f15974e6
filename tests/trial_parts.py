"""Parts of tests of trials: a crew with tasks, its flows, and steps that end well or badly."""

import itertools
import secrets
from dataclasses import replace
from typing import Any

from core.costs.model_choices import TaskOutcome, Trial, arm_of, task_outcome
from core.costs.trials import Arm, Evidence, Signal
from core.crews.ledger import Claim, Launch, StepWrite
from core.flows import Flow, Status
from tests.fixtures_ports import Flows, a_launch

LEASE_MS = 30_000
TASKS: dict[str, Any] = {"one": {}, "two": {}, "three": {"required_quality": "critical"}}
NUMBERS = itertools.count()


def a_trial(**given: Any) -> Trial:
    made: dict[str, Any] = {
        "id": "r1",
        "run": secrets.token_hex(4),
        "crew": "example",
        "task": "one",
        "model": "openai/large",
        "cheaper": "openai/small",
        "share": 0.5,
        "evidence": Evidence(),
    }
    return Trial(**{**made, **given})


def launch_of(flow: str) -> Launch:
    return a_launch(flow, definition={"name": "example", "tasks": TASKS})


async def launched(flows: Flows, flow: str) -> Flow:
    await flows.ledger.create(flows.tenant, launch_of(flow))
    return await state_of(flows, flow)


async def state_of(flows: Flows, flow: str) -> Flow:
    return await flows.ledger.state(flows.tenant, flow, fresh=True)


async def in_arm(flows: Flows, trial: Trial, arm: Arm) -> Flow:
    """Launch a flow that is in this arm of a trial, if it is assigned at all."""
    names = (f"in-trial{number}" for number in NUMBERS)
    return await launched(flows, next(n for n in names if arm_of(trial.run, n, trial.share) is arm))


async def claimed(flows: Flows, state: Flow, owner: str = "w1", lease_ms: int = LEASE_MS) -> Claim:
    """Claim the first step, that of the task in trial."""
    step = (await state_of(flows, state.id)).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, state.id, step, owner=owner, lease_ms=lease_ms, events=[]
    )
    assert isinstance(claim, Claim)
    return claim


def outcome(
    state: Flow, quality: float, signal: Signal = Signal.ANSWERS, deployed: str | None = None
) -> TaskOutcome | None:
    return task_outcome(state.models.get("one"), "one", signal, quality, deployed=deployed)


async def committed(
    flows: Flows, claim: Claim, quality: float = 1.0, seq: int = 1, deployed: str | None = None
) -> Flow:
    """Commit a step, as a worker does who knows what its flow was launched with."""
    told = outcome(await state_of(flows, claim.flow), quality, deployed=deployed)
    write = StepWrite(outcome=told)
    return await flows.ledger.commit(claim, seq, {"output": "x"}, write)


async def failed(flows: Flows, state: Flow, deployed: str | None = None) -> None:
    """End a flow whose step failed."""
    told = outcome(state, 0.0, deployed=deployed)
    await flows.ledger.transition(
        flows.tenant, state.id, Status.FAILED, status_epoch=0, events=[], error="no",
        outcomes=[told] if told else [],
    )  # fmt: skip


async def one_more(flows: Flows, trial: Trial, arm: Arm, quality: float) -> Flow:
    """Have a flow of this arm run to its outcome, if the trial still takes one."""
    state = await in_arm(flows, trial, arm)
    await committed(flows, await claimed(flows, state), quality)
    return state


async def the_trial(flows: Flows, trial: str = "r1") -> Trial:
    return next(each for each in await flows.trials.all(flows.tenant) if each.id == trial)


def tallies(trial: Trial, signal: Signal = Signal.ANSWERS) -> list[tuple[int, float]]:
    """How many outcomes each arm has, and their sum: of the model in use, of the cheaper one."""
    of = trial.evidence.answers if signal is Signal.ANSWERS else trial.evidence.people
    return [(each.outcomes, each.sum) for each in (of.in_use, of.cheaper)]


def without_times(trial: Trial) -> Trial:
    return replace(trial, started_ms=0, ended_ms=None)

"""What holds of every flow that has ended, whatever was done to its workers: read from its log.

Checked against three witnesses that do not know of each other: the flow's log and state, the
tenant's roll-up of money, and the model's own count of what it was asked.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jsonpatch

from core.costs.usage import Usage
from core.flows import Flow, Status
from tests.cells import cells_of
from tests.counting_model import Asked
from tests.fault_crews import CALLS_PER_STEP, Expected
from tests.fixtures_ports import due
from tests.fleet import AT_ONCE, Place
from tests.light_runner import BOUND, PRICE

MOST_EVENTS = 10_000
SIDE_BY_SIDE = 2  # steps of one flow, in all of tests/fault_crews.py
ENDS = ("RUN_FINISHED", "RUN_ERROR")


@dataclass(frozen=True)
class Story:
    """All that is known of one flow."""

    state: Flow
    numbers: list[int]
    events: list[dict[str, Any]]
    asked: list[Asked]
    output: Any  # also where it is too large for the state

    def values(self, name: str) -> list[dict[str, Any]]:
        """Return the values of the custom events of a name."""
        return [event["value"] for event in self.events if event.get("name") == name]

    @property
    def restarts(self) -> int:
        """How often a step was started again, but for those that had been put off."""
        return sum(max(0, step.epoch - 1 - step.deferrals) for step in self.state.steps)

    @property
    def deferrals(self) -> int:
        """How often a step was put off."""
        return sum(step.deferrals for step in self.state.steps)


async def story(place: Place, flow: str = "f1") -> Story:
    """Read a flow."""
    tenant = place.flows.tenant
    entries = await place.flows.log.entries(tenant, flow, 0, MOST_EVENTS)
    state = await place.flows.ledger.state(tenant, flow)
    return Story(
        state,
        [entry.number for entry in entries],
        [json.loads(entry.json) for entry in entries],
        place.model.of(flow),
        (await place.values.whole(tenant, state)).output,
    )


async def check(place: Place, kills: int, flows: Iterable[str] = ("f1",)) -> list[Story]:
    """Check flows that have ended, all of the tenant's; return their stories."""
    stories = [await story(place, flow) for flow in flows]
    for each in stories:
        numbers_and_versions(each)
        one_end(each)
        committed_steps_never_run_again(each)
        every_call_is_counted_once(each)
    assert sum(each.restarts for each in stories) <= kills * _in_hand(place, stories)
    await the_roll_up_is_the_sum(place, stories)
    assert await due(place.flows, 1) == []
    return stories


def _in_hand(place: Place, stories: list[Story]) -> int:
    """Return how many steps die with one worker at most; a host over HTTP takes what comes."""
    return SIDE_BY_SIDE * len(stories) if place.kind == "qstash" else AT_ONCE


def succeeded(told: Story, expected: Expected) -> None:
    """Check that a flow came to what it comes to undisturbed, at no more than its restarts cost."""
    assert (told.state.head.status, told.state.error) == (Status.SUCCEEDED, None)
    assert told.output == expected.output
    assert {step.id for step in told.state.steps} == expected.steps
    assert {step.state for step in told.state.steps} == {"done"}
    calls = CALLS_PER_STEP * (len(expected.steps) + told.restarts)
    assert len(told.asked) <= calls + told.deferrals  # a step is put off after its first call


def numbers_and_versions(told: Story) -> None:
    """No event is missing or there twice; the deltas lead from version to version to the state."""
    assert told.numbers == [*range(1, told.state.head.last_event + 1)]
    viewed: dict[str, Any] = {}
    versions: list[int] = []
    for event in told.events:
        if event["type"] == "STATE_SNAPSHOT":
            viewed = event["snapshot"]
        elif event["type"] == "STATE_DELTA":
            viewed = jsonpatch.apply_patch(viewed, event["delta"])
        else:
            continue
        versions.append(viewed["version"])
    late = late_answers(told)
    assert versions == [*range(1, told.state.head.version + 1 - late)]
    corrected = {"usage": told.state.usage.public(), "version": told.state.head.version}
    assert viewed | (corrected if late else {}) == told.state.public()


def late_answers(told: Story) -> int:
    """Return how many lost calls were answered after the end of the flow, which is no event."""
    return _lost_calls(told)[-1] - told.state.usage.lost_calls


def _lost_calls(told: Story) -> list[int]:
    """Return how many calls were lost, after each change of the usage."""
    return [0] + [
        change["value"]["lost_calls"]
        for event in told.events
        if event["type"] == "STATE_DELTA"
        for change in event["delta"]
        if change["path"] == "/usage"
    ]


def one_end(told: Story) -> None:
    """One terminal event, last; it says what the state says, and no message is open then."""
    kinds = [event["type"] for event in told.events]
    assert sum(kinds.count(end) for end in ENDS) == 1
    good = told.state.head.status is Status.SUCCEEDED
    assert told.state.head.status.terminal
    assert kinds[-1] == ("RUN_FINISHED" if good else "RUN_ERROR")
    assert kinds.count("TEXT_MESSAGE_START") == kinds.count("TEXT_MESSAGE_END")


def committed_steps_never_run_again(told: Story) -> None:
    """A step starts, starts again, and is finished once; attempts follow each other unmixed.

    The attempt of a step that is put off does not count: it goes on as the same one.
    """
    finished: set[str] = set()
    attempts: Counter[str] = Counter()
    begun: Counter[str] = Counter()
    for event in told.events:
        step, attempt = _told_of(event, attempts)
        if step is None:
            continue
        assert step not in finished, f"{step} goes on after its commit: {event}"
        assert attempt >= attempts[step], f"{step}: attempt {attempt} after {attempts[step]}"
        attempts[step] = attempt
        begun[step] = max(begun[step], attempt)
        if event["type"] == "STEP_FINISHED":
            finished.add(step)
        if event.get("name") == "step_deferred":
            attempts[step] -= 1
    kept = {step["id"] for step in told.events[1]["snapshot"]["steps"] if step["state"] == "done"}
    assert finished | kept == {step.id for step in told.state.steps if step.state == "done"}
    assert not kept & attempts.keys(), "what an earlier flow had done was done again"
    counted = {step.id: step.attempts for step in told.state.steps}
    assert all(attempts[step] == counted[step] for step in counted.keys() - kept)
    assert all(call.attempt <= begun[call.step] for call in told.asked)


def _told_of(event: dict[str, Any], attempts: Counter[str]) -> tuple[str | None, int]:
    """Return the step that an event is of, and the attempt that it was written in."""
    if event["type"] == "STEP_STARTED":
        return event["stepName"], 1
    if event["type"] == "STEP_FINISHED":
        return event["stepName"], attempts[event["stepName"]]
    if event.get("name") == "step_deferred":
        return event["value"]["step"], attempts[event["value"]["step"]]
    if event.get("name") in ("step_retried", "step_resumed", "counted"):
        return event["value"]["step"], event["value"]["attempt"]
    return None, 0


def every_call_is_counted_once(told: Story) -> None:
    """What was told of each call, and the lost ones at their bounds, make the flow's usage."""
    counted = told.values("counted")
    settled, lost = len(counted), told.state.usage.lost_calls
    calls = {(one["step"], one["attempt"], one["deferrals"], one["number"]) for one in counted}
    assert len(calls) == settled == len(told.values("model_call"))
    late = told.state.usage.calls - settled - lost  # lost ones that were answered after all
    # Of those, what comes between two events may be hidden by as many that were lost meanwhile.
    assert late >= sum(max(0, a - b) for a, b in pairwise([*_lost_calls(told), lost]))
    assert settled + late <= len(told.asked)
    dear, cheap = lost * BOUND.cost_nanodollars, (settled + late) * PRICE.cost_nanodollars
    assert told.state.usage.cost_nanodollars == cheap + dear
    asked = {(call.step, call.attempt, call.deferrals, call.number) for call in told.asked}
    assert len(asked) == len(told.asked), "a call was made twice in one claim"
    assert calls <= asked
    assert len(asked) <= told.state.usage.calls, "a call was made that nobody pays for"
    starts = sum(step.epoch for step in told.state.steps)
    assert told.state.usage.calls <= CALLS_PER_STEP * starts


async def the_roll_up_is_the_sum(place: Place, stories: list[Story]) -> None:
    """The tenant's days come to what its flows used."""
    now = time.time()
    days = {time.strftime("%Y-%m-%d", time.gmtime(now - ago)) for ago in (0, 3600)}
    used = sum((told.state.usage for told in stories), start=Usage())
    for hours in (False, True):
        spent = await cells_of(place.flows.spending, place.flows.tenant, list(days), hours=hours)
        assert sum((cell.usage for cell in spent), start=Usage()) == used

"""A request that is refused has counted nothing: neither feedback, nor a person's word in a trial."""

from typing import Any

import pytest

from core.flows import Flow
from core.learning import feedback as limits
from tests.e2e.apps import App
from tests.e2e.feedback_parts import best, give, said
from tests.e2e.test_trials import begun, ran, told


async def tried(app: App) -> Flow:
    """A flow that is over, and in a trial."""
    await begun(app)
    return await ran(app, lambda *_: None)


async def words(app: App, state: Flow) -> Any:
    """What people said of the flow's arm."""
    return (await told(app))["evidence"]["people"][state.models["write"].arm]


def thumb(flow: str, up_or_down: str = "down") -> dict[str, str]:
    return {"flow": flow, "thumb": up_or_down}


async def test_a_thumb_beside_one_for_no_flow_is_no_word_in_a_trial(app: App):
    state = await tried(app)
    answer = await give(app, {"feedback": [thumb(state.id), thumb("none")]})
    assert answer.status_code == 404
    assert await words(app, state) == {"outcomes": 0, "mean": None}
    assert (await give(app, thumb(state.id, "up"))).status_code == 202
    assert await words(app, state) == {"outcomes": 1, "mean": 1}


async def test_nor_is_one_beside_what_cannot_be_kept(app: App):
    state = await tried(app)
    wrong = {"task": "route", "context": {}, "action": "x", "correction": "y", "outcome": "right"}
    assert (await give(app, {"feedback": [thumb(state.id), wrong]})).status_code == 422
    assert await words(app, state) == {"outcomes": 0, "mean": None}


async def test_of_two_thumbs_in_one_request_the_first_is_the_word_that_counts(app: App):
    state = await tried(app)
    both = {"feedback": [thumb(state.id, "up"), thumb(state.id, "down")]}
    assert (await give(app, both)).json()["accepted"] == 2
    assert await words(app, state) == {"outcomes": 1, "mean": 1}


async def test_what_is_said_of_two_tasks_is_kept_of_both_or_of_neither(
    app: App, monkeypatch: pytest.MonkeyPatch
):
    state = await tried(app)
    await give(app, said("billing") | {"task": "full"})
    monkeypatch.setattr(limits, "MOST_WAITING", 1)
    batch = [said("cards") | {"task": "first"}, thumb(state.id), said("cards") | {"task": "full"}]
    answer = await give(app, {"feedback": batch})
    assert (answer.status_code, "task full" in answer.json()["detail"]) == (409, True)
    assert await best(app, task="first") is None
    assert await words(app, state) == {"outcomes": 0, "mean": None}

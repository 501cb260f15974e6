"""What cannot be tried or chosen here is refused with what there is, or with why."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from core import bootstrap
from core.adapters.memory import MemorySpendingLog
from core.costs.cells import Cell
from core.costs.rollup import DAY_MS
from core.costs.usage import Usage
from tests.e2e.apps import App, opened
from tests.e2e.test_trials import HALF, MODEL, RIGHT, TRIAL, asked, told, trial_of, used


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (trial_of(crew="haku"), "did you mean haiku?"),
        (trial_of(task="wrte"), "did you mean write?"),
        ("/v1/costs/savings/right_sizing.WyJzdXBwb3J0.../trial", "GET /v1/costs/savings"),
    ],
)
async def test_a_trial_of_what_is_not_there_is_answered_with_what_there_is(
    app: App, path: str, said: str
):
    answer = await asked(app, "POST", path, HALF)
    assert (answer.status_code, said in answer.json()["detail"]) == (404, True)


@pytest.mark.parametrize(
    "changed", [{"to": "openai/gpt-4.1-nano"}, {"agent": "clerk"}], ids=["model", "agent"]
)
async def test_only_what_the_savings_recommend_now_is_tried(app: App, changed: dict[str, str]):
    await used(app)
    answer = await asked(app, "POST", trial_of(**changed), HALF)
    assert (answer.status_code, "/v1/costs/savings?from=" in answer.json()["detail"]) == (404, True)
    today = datetime.now(UTC).date()
    yesterday = today - timedelta(days=1)
    of_days = f"{TRIAL}?from={yesterday}&to={yesterday}"
    assert (await asked(app, "POST", of_days, HALF)).status_code == 404
    assert (await asked(app, "POST", f"{TRIAL}?form={today}", HALF)).status_code == 422
    assert await told(app, "/v1/costs/trials") == {"trials": []}
    recommended = (await told(app, "/v1/costs/savings"))["recommendations"]
    assert RIGHT.id in {each["id"] for each in recommended}
    of_days = f"{TRIAL}?from={yesterday}&to={today}"
    assert (await asked(app, "POST", of_days, HALF)).status_code == 201


async def test_what_is_verified_by_recorded_answers_need_not_be_tried(app: App):
    facts = {"tries": 2_000, "tries_checked": 2_000, "out_n_5": 2_000}
    for model, cost in ((RIGHT.model, 10**9), (RIGHT.to, 10**7)):
        usage = Usage(2_000, 1_800_000, 40_000, cost)
        names = ("haiku", "write", "poet", "ann", model)
        app.flows.spend("acme", names, usage, app.flows.now_ms(), facts)
    recommended = (await told(app, "/v1/costs/savings"))["recommendations"]
    assert [each["verified"] for each in recommended if each["id"] == RIGHT.id] == [True]
    answer = await asked(app, "POST", TRIAL, HALF)
    assert (answer.status_code, "/v1/costs/models/" in answer.json()["detail"]) == (409, True)


async def test_an_offline_deployment_takes_no_model_that_it_would_not_ask(tmp_path: Path):
    with opened(tmp_path, model=None, offline_model=True) as app:
        await used(app)
        for method, path, body in (("PUT", MODEL, {"model": RIGHT.to}), ("POST", TRIAL, HALF)):
            answer = await asked(app, method, path, body)
            assert (answer.status_code, "CREWLINE_MODEL" in answer.json()["detail"]) == (409, True)
        assert await told(app, "/v1/costs/models") == {"models": []}


T = TypeVar("T")


class DaysRead(MemorySpendingLog):
    """Remembers which days of spending were read."""

    days: list[str]

    def pieces(
        self,
        tenant: str,
        days: Sequence[str],
        work: Callable[[list[Cell]], T],
        *,
        hours: bool = False,
    ) -> AsyncIterator[T]:
        self.days += days
        return super().pieces(tenant, days, work, hours=hours)


async def test_beginning_a_trial_reads_the_spending_of_each_day_once(app: App):
    await used(app)
    spending = DaysRead(app.flows)
    spending.days = []
    with bootstrap.replace(spending_log=spending):
        assert (await asked(app, "POST", TRIAL, HALF)).status_code == 201
    today = datetime.now(UTC).date()
    assert sorted(spending.days) == sorted({*spending.days})
    assert {(today - timedelta(days=ago)).isoformat() for ago in range(90)} <= {*spending.days}


async def test_a_call_of_before_the_period_shows_what_the_task_uses_and_recommends_nothing(
    app: App,
):
    names, long_ago = ("haiku", "write", "poet", "ann", RIGHT.model), 40 * DAY_MS
    app.flows.spend("acme", names, Usage(1, 900, 20, 10**6), app.flows.now_ms() - long_ago, {})
    answer = await asked(app, "POST", TRIAL, HALF)
    assert (answer.status_code, "/v1/costs/savings?from=" in answer.json()["detail"]) == (404, True)

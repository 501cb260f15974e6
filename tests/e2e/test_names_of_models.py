"""However a model's name is written, it is one model: in budgets, reports, savings, prices, trials and choices."""

from pathlib import Path
from typing import Any

import pytest

from core.adapters.memory import MemoryCallLedger
from core.costs.budget import Verdict
from core.costs.usage import Usage
from core.crews.call_ledger import Call
from functions import cost_report
from tests.e2e.apps import App, begin, opened
from tests.e2e.test_budgets import put, shown
from tests.e2e.test_trials import asked
from tests.e2e.test_usage import call, report, sent

SHORT, FULL = "gpt-4o", "openai/gpt-4o"
OF_MODEL = {"scope": "model", "window": "month", "limit_usd": "1"}


@pytest.mark.parametrize("limited", [SHORT, FULL])
@pytest.mark.parametrize("made", [SHORT, FULL, "OpenAI/GPT-4o"])
async def test_a_budget_of_a_model_counts_it_however_either_is_written(
    app: App, limited: str, made: str
):
    answer = await put(app, "m", OF_MODEL | {"name": limited})
    assert answer.json()["name"] == FULL
    await sent(app, call(model=made, usage={"prompt_tokens": 200_000, "completion_tokens": 0}))
    (state,) = (await shown(app))["budgets"][0]["spent"]
    assert (state["name"], state["spent_usd"]) == (FULL, "0.5")
    claim = await begin(app.flows)
    bound = Usage(1, 10, 10, 10**9)
    refused = Call("acme", "f1", claim.step, claim.epoch, 1, made, "haiku", "one", bound)
    refusal = await MemoryCallLedger(app.flows).reserve(refused)
    assert refusal is not None
    assert refusal.verdict is Verdict.EXHAUSTED


async def test_what_each_model_spent_is_told_under_any_of_its_names(app: App):
    await put(app, "m", OF_MODEL)
    await sent(app, call(model=SHORT))
    async with app.client(cost_report) as client:
        for name in (SHORT, FULL):
            (state,) = (await client.get(f"/v1/budgets/m?name={name}")).json()["spent"]
            assert state["name"] == FULL


async def test_reports_have_one_row_and_savings_one_place_for_a_model(app: App):
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000}
    await sent(app, *(call(id=name, model=name, usage=usage) for name in (SHORT, FULL, "GPT-4o")))
    (row,) = (await report(app, "group_by=model"))["rows"]
    assert (row["model"], row["calls"]) == (FULL, 3)
    told = (await asked(app, "GET", "/v1/costs/savings")).json()["recommendations"]
    assert {each["where"]["model"] for each in told} == {FULL}


async def test_a_call_sent_again_under_another_name_of_its_model_is_the_same_call(app: App):
    await sent(app, call(model=SHORT))
    told = (await sent(app, call(model=FULL), call(id="c2"))).json()
    assert told["calls"][0]["is_new"] is False
    assert "conflict" not in told["calls"][0]


@pytest.mark.parametrize(
    ("settings", "wanted", "kept"),
    [
        ({"models": (SHORT,)}, FULL, SHORT),
        ({"models": (FULL,)}, SHORT, FULL),
        ({"models": ("together_ai/Meta/L-3",)}, "together/meta/l-3", "together_ai/Meta/L-3"),
        ({"model": "xai/grok-4"}, "x-ai/grok-3-mini", "xai/grok-3-mini"),
        ({"model": "vertex_ai/gemini-2.5-pro"}, "google-vertex/a", "vertex_ai/a"),
        ({"model": SHORT}, "openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ({"model": "huggingface/groq/a"}, "huggingface_groq/b", "huggingface_groq/b"),
    ],
)
async def test_a_model_that_is_chosen_by_its_counted_name_is_called_as_the_deployment_writes_it(
    tmp_path: Path, settings: dict[str, Any], wanted: str, kept: str
):
    with opened(tmp_path, **settings) as app:
        answer = await asked(app, "PUT", "/v1/costs/models/haiku/write", {"model": wanted})
        assert answer.json()["model"] == kept

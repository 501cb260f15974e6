"""Providers that want to be paid before they answer again: no waiting helps, so the step fails at once."""

from typing import Any

import pytest

from core.adapters.crewai.models import model_from
from core.crews.crew_runner import StepDeferredError, StepFailedError
from tests.crewai_parts import a_crew, a_harness, a_step
from tests.scripted_provider import Turn, playing

QUOTA = {"message": "You exceeded your current quota", "type": "insufficient_quota"}
NO_CREDIT = [
    Turn(status=429, error={**QUOTA, "code": "insufficient_quota"}),  # OpenAI, Azure
    Turn(status=429, error={**QUOTA, "code": None}),
    Turn(status=429, error={**QUOTA, "code": "429"}),  # gateways
    Turn(status=429, headers={"Retry-After": "5"}, error={**QUOTA, "code": "insufficient_quota"}),
    Turn(status=400, error={"message": "m", "code": "billing_hard_limit_reached"}),
    Turn(status=429, error={"message": "m", "code": "billing_not_active"}),
    Turn(status=402, error={"message": "Insufficient Balance", "code": "invalid_request_error"}),
    Turn(status=402, error={"message": "Payment required"}),  # Mistral, OpenRouter
    Turn(status=400, error={"message": "Your credit balance is too low to access the Anthropic API.",
                            "type": "invalid_request_error"}),
    Turn(status=429, error={"message": "Quota exceeded, limit: 0, model: gemini-3-pro",
                            "status": "RESOURCE_EXHAUSTED", "code": 429}),
    Turn(status=429, error={"message": "m", "type": "exceeded_current_quota_error"}),  # Moonshot
    Turn(status=429, error={"message": "m", "code": "1113"}),  # Zhipu
    Turn(status=200, error={**QUOTA, "code": "insufficient_quota"}, in_stream=True),
]  # fmt: skip
PASSES = [
    Turn(status=429, error={"message": "Rate limit reached", "code": "rate_limit_exceeded"}),
    Turn(status=429, error={"message": "Quota exceeded, limit: 15, model: gemini-3-pro",
                            "status": "RESOURCE_EXHAUSTED", "code": 429}),
    Turn(status=429, error={"message": "m", "type": "service_tier_capacity_exceeded",
                            "code": "3505"}),
    Turn(status=429, error={"message": "m", "code": "RateLimitReached"}),
]  # fmt: skip


def asking(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    return a_harness(llm=model_from("openai/gpt-4o-mini", None, "sk-0123456789"))


@pytest.mark.parametrize("turn", NO_CREDIT)
async def test_a_provider_that_wants_to_be_paid_fails_the_step_at_once_and_says_what_to_do(
    turn: Turn, monkeypatch: pytest.MonkeyPatch
):
    with playing(turn) as provider:
        harness = asking(provider.url, monkeypatch)
        with pytest.raises(StepFailedError, match=r"no credit left.*add credit or raise the limit"):
            await harness.run(a_step(a_crew()))
    assert (len(provider.requests), harness.session.lost) == (1, 0)


@pytest.mark.parametrize("turn", PASSES)
async def test_a_rate_that_is_used_up_puts_the_step_off(
    turn: Turn, monkeypatch: pytest.MonkeyPatch
):
    with playing(turn) as provider, pytest.raises(StepDeferredError, match="too many requests"):
        await asking(provider.url, monkeypatch).run(a_step(a_crew()))
    assert len(provider.requests) == 4

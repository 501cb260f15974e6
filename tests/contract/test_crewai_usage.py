"""Money: reserved before every model call, settled once after it, lost when nobody knows."""

import json
from collections import deque
from typing import Any

import pytest

from core.costs.usage import Usage
from core.crews.crew_runner import StepFailedError
from tests.crewai_parts import (
    INPUT,
    Script,
    ScriptedLLM,
    a_crew,
    a_harness,
    a_step,
    native_call,
)


class RefusedError(Exception):
    """As a provider's client raises it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"key sk-1234: {status}")
        self.status_code = status


class ConnectError(Exception):
    """As httpx names it."""


class SilentLLM(ScriptedLLM):
    """Says what it answered and not what it was asked: nothing can be reserved for that."""

    def _emit_call_started_event(self, *_: Any, **__: Any) -> None:
        pass


NOTHING_SAID = [None, {}, {"prompt_tokens": 0, "completion_tokens": 0}]


@pytest.mark.parametrize("said", [*NOTHING_SAID, {"prompt_tokens": 900}])
@pytest.mark.parametrize("text", ["x" * 40, "茶" * 40])
async def test_a_call_that_does_not_say_what_it_consumed_counts_as_the_most_that_its_text_may_be(
    said: dict[str, int] | None, text: str
):
    harness = a_harness(text)
    harness.script.usage = said
    await harness.run(a_step(a_crew()))
    [usage], [(_, held)] = harness.usages, harness.session.reserved
    assert (usage.input_tokens, usage.output_tokens) == (held.input_tokens, len(text.encode()))
    assert usage.cost_nanodollars == held.input_tokens * 150 + len(text.encode()) * 600
    assert (usage.estimated_calls, usage.lost_nanodollars) == (1, usage.cost_nanodollars)


async def test_of_a_model_that_nobody_knows_it_counts_unpriced():
    harness = a_harness("x" * 40, model="openai/nobody-knows-this")
    harness.script.usage = None
    await harness.run(a_step(a_crew()))
    [usage] = harness.usages
    assert (usage.unpriced_calls, usage.cost_nanodollars, usage.estimated_calls) == (1, 0, 1)


@pytest.mark.parametrize(
    "said",
    [
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 1_000_000},
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 10**9},
        {"prompt_tokens": 10**12, "completion_tokens": 5},
        {"prompt_tokens": -5, "completion_tokens": 10**9},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 1_000_000},
    ],
)
async def test_usage_that_cannot_be_costs_no_more_than_was_held(said: dict[str, int]):
    harness = a_harness("ok")
    harness.session.bounded = False
    harness.script.usage = said
    await harness.run(a_step(a_crew()))
    [usage], [(_, held)] = harness.usages, harness.session.reserved
    assert 0 < usage.cost_nanodollars == usage.lost_nanodollars <= held.cost_nanodollars


async def test_usage_that_adds_up_costs_what_it_says_even_if_that_is_more_than_was_held():
    harness = a_harness("ok")
    harness.session.bounded = False
    harness.script.usage = {
        "prompt_tokens": 200_000,
        "completion_tokens": 5,
        "total_tokens": 200_005,
    }
    await harness.run(a_step(a_crew()))
    assert harness.usages == [Usage(1, 200_000, 5, 200_000 * 150 + 5 * 600)]


async def test_money_is_held_before_every_call_and_settled_before_the_next():
    harness = a_harness([native_call("size", file=INPUT)], "three", native=True)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    asked: list[tuple[str, int]] = []
    harness.session.before = lambda method: asked.append((method, len(harness.script.prompts)))
    await harness.run(a_step(a_crew(tools=("size",))))
    money = [entry for entry in asked if entry[0] != "post"]
    assert money == [("reserve", 0), ("settle", 1), ("reserve", 1), ("settle", 2)]
    assert harness.usages == [Usage(1, 10, 2, 10 * 150 + 2 * 600)] * 2


async def test_a_worker_killed_while_its_model_works_has_said_what_that_may_cost():
    known: list[int] = []

    def reply() -> str:
        known.append(harness.session.lost)
        return "ok"

    harness = a_harness(reply)
    await harness.run(a_step(a_crew()))
    assert (known, harness.session.lost) == ([1], 0)


async def test_the_bound_covers_each_byte_of_the_prompt_its_tools_and_the_longest_answer():
    harness = a_harness("ok", native=True)
    await harness.run(a_step(a_crew(tools=("size",)), what="ä" * 5_000))
    [(model, bound)] = harness.session.reserved
    prompt = sum(len(text.encode()) for text in harness.script.asked)
    assert (model, bound.calls, bound.output_tokens) == ("openai/gpt-4o-mini", 1, 16_384)
    assert 10_000 + len("Tell how large an input is.") < prompt + 100 < bound.input_tokens
    assert bound.cost_nanodollars == bound.input_tokens * 150 + 16_384 * 600


@pytest.mark.parametrize(
    ("model", "settings", "tokens"),
    [
        ("openai/gpt-4o-mini", {"max_tokens": 50}, 50),
        ("anthropic/claude-sonnet-4-5", {}, 64_000),
        ("nobody/knows-this", {}, 32_768),
    ],
)
async def test_the_longest_answer_is_what_the_model_is_told_or_known_to_give(
    model: str, settings: dict[str, Any], tokens: int
):
    script = Script(deque(["ok"]))
    harness = a_harness(llm=lambda: ScriptedLLM(model=model, script=script, **settings))
    await harness.run(a_step(a_crew()))
    assert [bound.output_tokens for _, bound in harness.session.reserved] == [tokens]


async def test_what_a_provider_read_from_its_cache_is_settled_at_the_price_of_that():
    harness = a_harness("ok", model="anthropic/claude-sonnet-4-5")
    harness.script.usage = {
        "input_tokens": 10,
        "output_tokens": 2,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
    }
    await harness.run(a_step(a_crew()))
    cost = 10 * 3000 + 100 * 300 + 20 * 3750 + 2 * 15_000
    assert harness.usages == [Usage(1, 130, 2, cost, cache_read_tokens=100, cache_write_tokens=20)]


async def test_what_bedrock_reports_in_words_of_its_own_is_no_estimate():
    harness = a_harness("ok", model="bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    harness.script.usage = {"inputTokens": 10, "outputTokens": 2, "cacheWriteInputTokens": 20}
    await harness.run(a_step(a_crew()))
    cost = 10 * 3300 + 20 * 4125 + 2 * 16_500
    assert harness.usages == [Usage(1, 30, 2, cost, cache_write_tokens=20)]


@pytest.mark.parametrize(
    ("error", "lost", "said"),
    [
        (RefusedError(401), 0, "answered 401"),
        (RefusedError(408), 5, "answered 408"),
        (RefusedError(500), 5, "answered 500"),
        (ConnectError("refused"), 0, "could not be reached"),
        (TimeoutError(), 2, "did not answer in time"),
        (RuntimeError("key sk-1234 is wrong"), 1, "stopped with RuntimeError"),
    ],
)
async def test_a_call_that_failed_costs_nothing_only_if_the_provider_cannot_have_worked(
    error: Exception, lost: int, said: str
):
    harness = a_harness(*[error] * 5)
    with pytest.raises(StepFailedError, match=said) as failed:
        await harness.run(a_step(a_crew()))
    assert "sk-1234" not in str(failed.value)
    assert harness.session.lost == lost
    assert all(usage == Usage() for usage in harness.usages)
    assert not harness.told("model_call")


async def test_a_call_is_made_again_for_its_own_money_when_the_provider_fails_for_a_moment():
    harness = a_harness(RefusedError(500), RefusedError(503), "ok")
    assert (await harness.run(a_step(a_crew())))["raw"] == "ok"
    assert len(harness.session.reserved) == 3
    assert sorted(harness.session.settled) == ["1", "2"]  # what the 500 may have cost is lost
    assert harness.session.settled["1"] == Usage()


async def test_an_earlier_refusal_does_not_hide_that_the_last_request_was_cut_off():
    def cut_off() -> Exception:
        timeout = type("ReadTimeout", (Exception,), {})()
        timeout.__context__ = RefusedError(400)  # the client tried again otherwise
        return timeout

    harness = a_harness(cut_off, cut_off)
    with pytest.raises(StepFailedError):
        await harness.run(a_step(a_crew()))
    assert harness.session.lost == 2


async def test_an_answer_that_comes_twice_is_settled_once():
    class Twice(ScriptedLLM):
        def _emit_call_completed_event(self, *args: Any, **kwargs: Any) -> None:
            super()._emit_call_completed_event(*args, **kwargs)
            super()._emit_call_completed_event(*args, **kwargs)

    script = Script(deque(["ok"]))
    harness = a_harness(llm=lambda: Twice(model="openai/gpt-4o-mini", script=script))
    await harness.run(a_step(a_crew()))
    assert (len(harness.usages), harness.texts()) == (1, ["ok"])


async def test_a_model_that_does_not_say_that_it_is_called_fails_the_step():
    script = Script(deque(["ok", "unused"]))
    harness = a_harness(llm=lambda: SilentLLM(model="openai/gpt-4o-mini", script=script))
    with pytest.raises(StepFailedError, match="without being paid"):
        await harness.run(a_step(a_crew()))
    assert json.dumps(harness.events).count("unused") == 0

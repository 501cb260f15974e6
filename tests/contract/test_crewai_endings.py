"""Half an answer is no result, by whichever word its provider says that it is half."""

import logging
from typing import Any

import pytest

from core.adapters.crewai import endings
from core.adapters.crewai.model_calls import ModelRetryPolicy
from core.adapters.crewai.models import model_from
from core.crews.crew_runner import StepFailedError
from tests.crewai_parts import RunnerHarness, a_crew, a_harness, a_step, native_call
from tests.scripted_provider import ScriptedProvider, Turn, playing

OK = Turn("The answer is 42.")
HALF = "HALF ANSW"
QUICK = ModelRetryPolicy(base=0.01, in_place=0.5)
OF_A_PROVIDER = {"code": 502, "message": "provider returned an error"}

# The words of each provider's reference: those of whole answers, and the others.
WHOLE = {
    "OpenAI": "stop tool_calls function_call",
    "OpenAI's Responses": "completed",
    "Anthropic": "end_turn stop_sequence tool_use",
    "Bedrock": "end_turn stop_sequence tool_use",
    "Gemini": "STOP FinishReason.STOP FINISH_REASON_STOP",
    "Cohere": "COMPLETE STOP_SEQUENCE TOOL_CALL",
    "TGI": "eos_token stop_sequence",
    "Together": "eos stop tool_calls",
    "xAI": "stop end_turn tool_calls",
    "nobody": "null",
}
OTHERS = {
    "OpenAI": "length content_filter",
    "OpenAI's Responses": "incomplete failed cancelled in_progress queued",
    "Anthropic": "max_tokens refusal pause_turn model_context_window_exceeded",
    "Bedrock": "max_tokens guardrail_intervened content_filtered malformed_model_output"
    " malformed_tool_use model_context_window_exceeded",
    "Gemini": "MAX_TOKENS SAFETY RECITATION LANGUAGE OTHER BLOCKLIST PROHIBITED_CONTENT SPII"
    " MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS FINISH_REASON_UNSPECIFIED",
    "Mistral": "length model_length error",
    "DeepSeek": "length content_filter insufficient_system_resource",
    "Cohere": "MAX_TOKENS ERROR ERROR_TOXIC ERROR_LIMIT USER_CANCEL TIMEOUT",
    "OpenRouter": "length content_filter error",
    "vLLM": "length abort error",
    "Zhipu": "length sensitive network_error model_context_window_exceeded",
    "watsonx": "not_finished max_tokens cancelled time_limit token_limit error",
}
# Each list once, and what was taken for a good end before.
SOME = ["length", "model_length", "content_filter", "refusal", "error", "insufficient_system_resource",
        "abort", "OTHER", "MALFORMED_FUNCTION_CALL"]  # fmt: skip


def words(table: dict[str, str]) -> list[str]:
    return sorted({word for of_one in table.values() for word in of_one.split()})


def against(provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, *, stream: bool) -> Any:
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    if stream:
        return model_from("openai/gpt-4o-mini", None, "sk-0123456789")
    return model_from("gpt-4o-mini", provider.url, "sk-0123456789")


async def answer_of(harness: RunnerHarness) -> str:
    return (await harness.run(a_step(a_crew())))["raw"]


both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both
@pytest.mark.parametrize("word", SOME)
async def test_an_answer_that_did_not_end_well_is_asked_for_again(
    word: str, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(Turn(HALF, finish=word), OK) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        assert await answer_of(harness) == OK.text
    assert len(provider.requests) == len(harness.session.reserved) == 2
    assert len(harness.told("model_call_repeated")) == 1


@both
@pytest.mark.parametrize("word", ["length", "model_length"])
async def test_an_answer_that_was_cut_is_recorded_as_no_use_and_the_next_as_no_repeat(
    word: str, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(Turn(HALF, finish=word), OK, OK) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        for _ in range(2):
            await answer_of(harness)
    cut, whole, again = harness.session.facts
    assert (cut.get("cut_n_5"), cut.get("cut_5"), cut.get("out_n_5")) == (1, 20, None)
    assert (whole.get("out_n_5"), whole.get("repeats")) == (1, None)
    assert (again.get("out_n_5"), again.get("repeats")) == (1, 1)


@both
@pytest.mark.parametrize("word", ["stop", "STOP", "eos", "null"])
async def test_an_answer_that_ended_well_is_asked_for_once(
    word: str, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(Turn(OK.text, finish=word)) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        assert await answer_of(harness) == OK.text
    assert len(provider.requests) == 1


def test_each_providers_words_are_known():
    for word in words(WHOLE):
        assert not endings.failure_of(endings.word_of(word))
        assert not endings.doubt(endings.word_of(word))
    for word in words(OTHERS):
        assert endings.failure_of(endings.word_of(word))


def test_no_word_is_on_two_lists():
    assert not {endings.word_of(w) for w in words(WHOLE)} & {
        endings.word_of(w) for w in words(OTHERS)
    }
    assert sum(len(each.split()) for each in endings._BY_WORD.values()) == len(endings._FAILURES)


@both
async def test_an_end_that_nobody_listed_is_doubted_and_told(
    stream: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    strange = Turn(OK.text, finish="brand_new_end")
    with playing(Turn(HALF, finish="brand_new_end"), strange) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        assert await answer_of(harness) == OK.text
    assert len(provider.requests) == 2
    reason = "the model's provider ended its answer for an unknown reason (brand_new_end)"
    assert [told["reason"] for told in harness.told("model_call_repeated")] == [reason]
    assert [told["reason"] for told in harness.told("answer_doubted")] == [reason]
    assert reason in caplog.text


async def test_an_end_that_nobody_listed_is_followed_by_one_that_is(
    monkeypatch: pytest.MonkeyPatch,
):
    with playing(Turn(HALF, finish="brand_new_end"), OK) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=False), retries=QUICK)
        assert await answer_of(harness) == OK.text
    assert harness.told("answer_doubted") == []


async def test_no_text_of_a_provider_is_repeated_for_its_reason(monkeypatch: pytest.MonkeyPatch):
    with playing(Turn(OK.text, finish="sk-0123456789 your prompt was")) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=False), retries=QUICK)
        await answer_of(harness)
    (told,) = harness.told("answer_doubted")
    assert told["reason"] == "the model's provider ended its answer for an unknown reason"


@both
@pytest.mark.parametrize("finish", ["stop", "error"])
async def test_an_error_beside_half_an_answer_is_no_good_end(
    finish: str, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(Turn(HALF, finish=finish, choice_error=OF_A_PROVIDER), OK) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        assert await answer_of(harness) == OK.text
    assert len(provider.requests) == 2


@both
async def test_an_error_that_an_answer_speaks_of_is_none(
    stream: bool, monkeypatch: pytest.MonkeyPatch
):
    quoted = 'It sent {"error": {"code": 502}}, and then data: [DONE]'
    with playing(Turn(quoted)) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        assert await answer_of(harness) == quoted
    assert len(provider.requests) == 1


async def test_calls_of_tools_in_half_an_answer_are_not_made(monkeypatch: pytest.MonkeyPatch):
    seen = list[str]()

    def look(context: Any, what: str) -> str:
        """Look something up."""
        del context
        seen.append(what)
        return "42"

    half = Turn(None, tools=[native_call("look", what="half")], finish="error")
    whole = Turn(None, tools=[native_call("look", what="whole")], finish="tool_calls")
    with playing(half, whole, OK) as provider:
        llm = against(provider, monkeypatch, stream=False)
        harness = a_harness(llm=llm, retries=QUICK, look=look)
        assert (await harness.run(a_step(a_crew(tools=("look",)))))["raw"] == OK.text
    assert seen == ["whole"]


async def test_a_stream_that_ends_with_its_mark_and_says_nothing_else_is_whole(
    monkeypatch: pytest.MonkeyPatch,
):
    marked = Turn("Tea is nice.", finish=None, usage=None, end_mark=True)
    with playing(marked) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=True), retries=QUICK)
        assert await answer_of(harness) == "Tea is nice."
    assert len(provider.requests) == 1


async def test_a_stream_that_ends_without_its_mark_is_not(monkeypatch: pytest.MonkeyPatch):
    with playing(Turn(HALF, finish=None, usage=None), OK) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=True), retries=QUICK)
        assert await answer_of(harness) == OK.text


async def test_bytes_that_are_no_utf_8_are_no_answer_of_its_protocol(
    monkeypatch: pytest.MonkeyPatch,
):
    with playing(Turn(raw=b'{"choices": [{"message": {"content": "\xff\xfe"}}]}')) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=False), retries=QUICK)
        with pytest.raises(StepFailedError, match="CREWLINE_MODEL_BASE_URL"):
            await answer_of(harness)
    assert len(provider.requests) == 3


WHOLE_AND_UNREADABLE = {
    "no UTF-8": b'{"choices": [{"message": {"content": "%s\xff\xfe"}}]}',
    "no JSON": b"<html>%s</html>",
    "no choices": b'{"choices": null, "text": "%s"}',
    "no usage and no choice": b'{"choices": [], "text": "%s"}',
}


@pytest.mark.parametrize("body", WHOLE_AND_UNREADABLE.values(), ids=WHOLE_AND_UNREADABLE)
async def test_an_answer_that_came_whole_and_cannot_be_read_counts_by_its_length(
    body: bytes, monkeypatch: pytest.MonkeyPatch
):
    with playing(Turn(raw=body % (b"x" * 4_000))) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=False), retries=QUICK)
        with pytest.raises(StepFailedError):
            await answer_of(harness)
    calls = len(provider.requests)
    assert (harness.session.lost, len(harness.usages)) == (0, calls)
    for usage in harness.usages:
        assert (usage.calls, usage.estimated_calls, usage.lost_calls) == (1, 1, 0)
        assert usage.lost_nanodollars == usage.cost_nanodollars
        assert 4_000 < usage.output_tokens < 4_200


@both
async def test_an_answer_of_which_the_rest_is_unknown_counts_at_its_bound(
    stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(Turn(HALF, cut_after=1)) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        with pytest.raises(StepFailedError):
            await answer_of(harness)
    assert (harness.session.lost, harness.usages) == (len(provider.requests), [])

"""What providers report of a call's tokens, each in its own convention, as counts of one meaning."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.costs.provider_usage import read_usage, read_variant
from core.costs.token_counts import MOST_TOKENS, TokenCounts

CHAT = "https://platform.openai.com/docs/api-reference/chat/object"
RESPONSES = "https://platform.openai.com/docs/api-reference/responses/object"
ANTHROPIC = "https://platform.claude.com/docs/en/build-with-claude/prompt-caching"
COMPACTION = "https://platform.claude.com/docs/en/build-with-claude/compaction"
GEMINI = "https://ai.google.dev/api/generate-content#UsageMetadata"
BEDROCK = "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html"
LIVE = "https://ai.google.dev/api/live"
INTERACTIONS = "https://ai.google.dev/api/interactions-api"
LLAMA = "https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html"
REALTIME = "https://platform.openai.com/docs/api-reference/realtime-server-events"
LANGCHAIN = "https://reference.langchain.com/python/langchain_core/messages/#langchain_core.messages.ai.UsageMetadata"
XAI = "https://docs.x.ai/docs/models"
DEEPSEEK = "https://api-docs.deepseek.com/guides/kv_cache"
LITELLM = "https://docs.litellm.ai/docs/completion/prompt_caching"
CREWAI = "https://github.com/crewAIInc/crewAI/tree/main/lib/crewai/src/crewai/llms/providers"


@pytest.mark.parametrize(
    ("usage", "counts", "_source"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}, TokenCounts(100, output=20), CHAT),
        ({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
          "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
          "completion_tokens_details": {"reasoning_tokens": 15, "audio_tokens": 0}},
         TokenCounts(36, 64, output=20, reasoning=15), CHAT),
        ({"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}},
         TokenCounts(10, 60, 30, output=20), "https://openrouter.ai/docs/guides/best-practices/prompt-caching"),
        ({"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "input_tokens_details": {"cached_tokens": 64},
          "output_tokens_details": {"reasoning_tokens": 15}}, TokenCounts(36, 64, output=20, reasoning=15), RESPONSES),
        ({"input_tokens": 10, "output_tokens": 2}, TokenCounts(10, output=2), ANTHROPIC),
        ({"input_tokens": 10, "output_tokens": 2, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20},
         TokenCounts(10, 100, 20, output=2), ANTHROPIC),
        ({"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 20}, TokenCounts(0, 0, 20), ANTHROPIC),
        ({"input_tokens": 10, "output_tokens": 2, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 50,
          "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}},
         TokenCounts(10, 0, 20, 30, output=2), ANTHROPIC),
        ({"input_tokens": 10, "output_tokens": 20, "cache_creation": None, "output_tokens_details": {"thinking_tokens": 15}},
         TokenCounts(10, output=20, reasoning=15), ANTHROPIC),
        ({"input_tokens": 45, "output_tokens": 5, "iterations": [
            {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500, "cache_read_input_tokens": 9},
            {"type": "message", "input_tokens": 45, "output_tokens": 5}]},
         TokenCounts(180_045, 9, output=3_505), COMPACTION),
        ({"input_tokens": 130_213, "output_tokens": 10, "cache_read_input_tokens": 128_955, "cache_creation_input_tokens": 1_253,
          "total_tokens": 130_223}, TokenCounts(5, 128_955, 1_253, output=10), "https://github.com/langfuse/langfuse/issues/12306"),
        ({"promptTokenCount": 100, "candidatesTokenCount": 20, "totalTokenCount": 120}, TokenCounts(100, output=20), GEMINI),
        ({"promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 20, "thoughtsTokenCount": 30,
          "toolUsePromptTokenCount": 7, "totalTokenCount": 157}, TokenCounts(47, 60, output=50, reasoning=30), GEMINI),
        ({"prompt_token_count": 100, "cached_content_token_count": 60, "candidates_token_count": None, "thoughts_token_count": 30},
         TokenCounts(40, 60, output=30, reasoning=30), GEMINI),
        ({"inputTokens": 10, "outputTokens": 2, "totalTokens": 12}, TokenCounts(10, output=2), BEDROCK),
        ({"inputTokens": 10, "outputTokens": 2, "totalTokens": 162, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 50,
          "cacheDetails": [{"ttl": "1h", "inputTokens": 30}, {"ttl": "5m", "inputTokens": 20}]},
         TokenCounts(10, 100, 20, 30, output=2), BEDROCK),
        ({"prompt_token_count": 100, "response_token_count": 20, "total_token_count": 120}, TokenCounts(100, output=20), LIVE),
        ({"promptTokenCount": 100, "responseTokenCount": 20, "thoughtsTokenCount": 5}, TokenCounts(100, output=25, reasoning=5), LIVE),
        ({"prompt_token_count": 100, "generation_token_count": 20}, TokenCounts(100, output=20), LLAMA),
        ({"total_input_tokens": 10_000, "total_output_tokens": 100, "total_thought_tokens": 0, "total_tokens": 10_100},
         TokenCounts(10_000, output=100), INTERACTIONS),
        ({"total_input_tokens": 100, "total_cached_tokens": 60, "total_output_tokens": 20, "total_thought_tokens": 30,
          "total_tool_use_tokens": 7, "total_tokens": 157}, TokenCounts(47, 60, output=50, reasoning=30), INTERACTIONS),
        ({"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "input_token_details": {"cached_tokens": 64, "text_tokens": 100},
          "output_token_details": {"text_tokens": 20}}, TokenCounts(36, 64, output=20), REALTIME),
        ({"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "input_token_details": {"cache_read": 60, "cache_creation": 30},
          "output_token_details": {"reasoning": 15}}, TokenCounts(10, 60, 30, output=20, reasoning=15), LANGCHAIN),
        ({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 150, "completion_tokens_details": {"reasoning_tokens": 30}},
         TokenCounts(100, output=50, reasoning=30), XAI),
        ({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
         TokenCounts(36, 64, output=20), DEEPSEEK),
        ({"prompt_tokens": 130, "completion_tokens": 2, "total_tokens": 132, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20,
          "prompt_tokens_details": {"cached_tokens": 100, "cache_creation_tokens": 20}}, TokenCounts(10, 100, 20, output=2), LITELLM),
        ({"prompt_tokens": 130, "completion_tokens": 2, "cache_creation_input_tokens": 120,
          "prompt_tokens_details": {"cache_creation_token_details": {"ephemeral_5m_input_tokens": 90, "ephemeral_1h_input_tokens": 30}}},
         TokenCounts(10, 0, 90, 30, output=2), LITELLM),
        ({"input_tokens": 130, "output_tokens": 2, "total_tokens": 132, "cached_prompt_tokens": 100, "cache_creation_tokens": 20},
         TokenCounts(10, 100, 20, output=2), f"{CREWAI}/anthropic"),
        ({"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "cached_prompt_tokens": 64, "reasoning_tokens": 15},
         TokenCounts(36, 64, output=20, reasoning=15), f"{CREWAI}/openai"),
        ({"prompt_token_count": 100, "candidates_token_count": 20, "completion_tokens": 50, "total_token_count": 157,
          "total_tokens": 157, "cached_prompt_tokens": 60, "reasoning_tokens": 30},
         TokenCounts(47, 60, output=50, reasoning=30), f"{CREWAI}/gemini"),
        ({"inputTokens": 10, "outputTokens": 2, "totalTokens": 12, "cacheReadInputTokenCount": 0}, TokenCounts(10, output=2), f"{CREWAI}/bedrock"),
    ],
)  # fmt: skip
def test_what_a_provider_reports_is_read_by_its_own_convention(
    usage: dict[str, Any], counts: TokenCounts, _source: str
):
    reported = read_usage(usage)
    assert reported is not None
    assert (reported.tokens, reported.sound) == (counts, True)


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        # a gateway in front of Anthropic: https://github.com/crewAIInc/crewAI/issues/6788
        ({"prompt_tokens": 1000, "cached_tokens": 9000, "completion_tokens": 10, "total_tokens": 10_010},
         TokenCounts(1000, 9000, output=10)),
        ({"prompt_tokens": 1000, "cached_tokens": 500, "completion_tokens": 10, "total_tokens": 1510},
         TokenCounts(1000, 500, output=10)),
        ({"prompt_tokens": 1000, "cached_tokens": 500, "completion_tokens": 10, "total_tokens": 1540, "reasoning_tokens": 30},
         TokenCounts(1000, 500, output=40, reasoning=30)),
        # Gemini's OpenAI-compatible address does not name its thoughts
        ({"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1310}, TokenCounts(1000, output=310)),
    ],
)  # fmt: skip
def test_the_total_tells_what_a_gateway_counts_on_top(usage: dict[str, Any], counts: TokenCounts):
    reported = read_usage(usage)
    assert reported is not None
    assert (reported.tokens, reported.sound) == (counts, True)


@pytest.mark.parametrize(
    ("usage", "unexplained"),
    [
        ({"prompt_token_count": 1000, "total_token_count": 2000}, 1000),
        ({"promptTokenCount": 1000, "answerTokenCount": 900, "totalTokenCount": 2000}, 1000),
        ({"total_tokens": 1000}, 1000),
        ({"promptTokenCount": 1000, "candidatesTokenCount": None, "totalTokenCount": 2000}, 0),
    ],
)
def test_tokens_of_which_nobody_says_what_they_are_count_as_the_dearest_and_are_marked(
    usage: dict[str, Any], unexplained: int
):
    reported = read_usage(usage)
    assert reported is not None
    assert (reported.unexplained, reported.tokens.output) == (unexplained, unexplained)


@pytest.mark.parametrize(
    ("usage", "variant"),
    [
        ({"service_tier": "batch"}, "batch"),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"service_tier": "standard", "speed": "standard"}, None),
        ({"service_tier": ["batch"], "speed": {}}, None),
        ({"serviceTier": "flex"}, "flex"),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"traffic_type": "ON_DEMAND_FLEX"}, "flex"),
        ({"trafficType": "ON_DEMAND"}, None),
        ({}, None),
    ],
)
def test_usage_tells_in_which_variant_a_call_was_made(usage: dict[str, Any], variant: str | None):
    assert read_variant(usage) == variant


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], "usage", 7, {"total_tokens": 0}, {"prompt_tokens": None, "completion_tokens": None},
     {"promptTokenCount": 0}, {"inputTokens": 0, "outputTokens": 0}, {"cost": 0.1}],
)  # fmt: skip
def test_usage_that_is_missing_says_so(usage: Any):
    assert read_usage(usage) is None


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": -5, "completion_tokens": 2}, TokenCounts(output=2)),
        ({"prompt_tokens": 10, "completion_tokens": 10**30}, TokenCounts(10, output=MOST_TOKENS)),
        ({"prompt_tokens": "ten", "completion_tokens": 2}, TokenCounts(output=2)),
        ({"prompt_tokens": True, "completion_tokens": 2}, TokenCounts(output=2)),
        ({"prompt_tokens": float("nan"), "completion_tokens": 2}, TokenCounts(output=2)),
        ({"prompt_tokens": 10, "completion_tokens": 2, "cached_tokens": 90}, TokenCounts(10, 90, output=2)),
        ({"prompt_tokens": 10, "completion_tokens": 2, "reasoning_tokens": 7}, TokenCounts(10, output=9, reasoning=7)),
        ({"promptTokenCount": 10, "cachedContentTokenCount": 30, "candidatesTokenCount": 2}, TokenCounts(0, 10, output=2)),
        ({"input_tokens": 10, "output_tokens": 2, "cache_read_input_tokens": -1}, TokenCounts(10, output=2)),
    ],
)  # fmt: skip
def test_what_cannot_be_is_brought_to_the_nearest_that_can_and_marked(
    usage: dict[str, Any], counts: TokenCounts
):
    reported = read_usage(usage)
    assert reported is not None
    assert (reported.tokens, reported.sound) == (counts, False)


@pytest.mark.parametrize("usage", [{"prompt_tokens": "12", "completion_tokens": 2.0}])
def test_a_whole_number_may_be_written_as_a_text_or_a_float(usage: dict[str, Any]):
    reported = read_usage(usage)
    assert reported is not None
    assert (reported.tokens, reported.sound) == (TokenCounts(12, output=2), True)


NAMES = st.sampled_from(
    ["prompt_tokens", "input_tokens", "inputTokens", "promptTokenCount", "completion_tokens", "output_tokens",
     "outputTokens", "candidatesTokenCount", "thoughtsTokenCount", "total_tokens", "totalTokenCount", "reasoning_tokens",
     "cached_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cacheReadInputTokens",
     "cacheWriteInputTokens", "cachedContentTokenCount", "toolUsePromptTokenCount", "iterations"]
)  # fmt: skip
OBJECTS = st.sampled_from(
    ["prompt_tokens_details", "completion_tokens_details", "cache_creation", "cacheDetails"]
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(NAMES | OBJECTS, ANYTHING, max_size=10))
def test_whatever_is_reported_never_raises_and_never_counts_below_nothing(usage: dict[str, Any]):
    reported = read_usage(usage)
    if reported is not None:
        tokens = reported.tokens
        assert tokens.input >= 0
        assert tokens.output >= tokens.reasoning >= 0


@given(*[st.integers(0, 100_000)] * 5, st.booleans())
@example(0, 0, 1, 0, 0, False)
def test_every_token_is_counted_once_in_each_convention(
    uncached: int, read: int, written: int, said: int, thought: int, told_apart: bool
):
    """The same call, as five providers report it."""
    counts = TokenCounts(uncached, read, written, output=said + thought, reasoning=thought)
    sent, received = counts.input, counts.output
    openai = {
        "prompt_tokens": sent,
        "completion_tokens": received,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought},
    } | ({"total_tokens": sent + received} if told_apart else {})
    anthropic = {
        "input_tokens": uncached,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": received,
        "output_tokens_details": {"thinking_tokens": thought},
    }
    bedrock = {
        "inputTokens": uncached,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
        "outputTokens": received,
    }
    for usage in (openai, anthropic):
        reported = read_usage(usage)
        assert (reported.tokens if reported else TokenCounts()) == counts
        assert reported is None or reported.sound
    in_bedrock = read_usage(bedrock)
    assert (in_bedrock.tokens.input if in_bedrock else 0) == sent
    gemini = {
        "promptTokenCount": uncached + read,
        "cachedContentTokenCount": read,
        "candidatesTokenCount": said,
        "thoughtsTokenCount": thought,
        "totalTokenCount": uncached + read + said + thought,
    }
    in_gemini = read_usage(gemini)
    assert (in_gemini.tokens.output if in_gemini else 0) == received

"""Providers' usage objects, read into token counts: no token counted twice, none below zero.

What contains what is each provider's convention:

- OpenAI (chat and responses), and those that answer as it does: cached and written tokens are part of
  the input, reasoning is part of the output.
  https://platform.openai.com/docs/api-reference/chat/object, .../responses/object
- Anthropic: `input_tokens` are those after the last cache breakpoint; what was read from or written to
  the cache comes on top. https://platform.claude.com/docs/en/build-with-claude/prompt-caching
  So does what was compacted. https://platform.claude.com/docs/en/build-with-claude/compaction
- Bedrock's Converse: the same. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
- Gemini: cached tokens are part of `promptTokenCount`; thoughts come on top of `candidatesTokenCount`, and
  prompts of its own tools on top of both. https://ai.google.dev/api/generate-content#UsageMetadata
  Its Live API says `responseTokenCount`, https://ai.google.dev/api/live; its Interactions API has the same by
  other names, https://ai.google.dev/api/interactions-api
- Llama on Bedrock: `prompt_token_count` and `generation_token_count`.
  https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html
- LiteLLM and CrewAI write most of them in OpenAI's form, with Anthropic's names beside it; OpenAI's Realtime API
  and LangChain say `input_token_details`. https://platform.openai.com/docs/api-reference/realtime-server-events

Gateways in OpenAI's form often keep to another convention than OpenAI (xAI's reasoning and Anthropic's cache
come on top there), and some count the cache as part of Anthropic's input. `total_tokens` tells that: what it
exceeds the sum by is what comes on top.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from core.costs.price_lists import Variant
from core.costs.token_counts import TokenCounts
from core.costs.usage_figures import Figures, UsageObject, counts, paths_of, rest

_TIERS: tuple[Variant, ...] = ("batch", "flex", "priority")
_TRAFFIC: dict[str, Variant] = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}
_COUNTED = tuple(field.name for field in fields(TokenCounts))


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """What a provider reported. Not `sound`: it cannot be so, and the nearest that can be counts.

    `unexplained` tokens are of a sum that is more than its parts; they count as output.
    """

    tokens: TokenCounts
    sound: bool = True
    unexplained: int = 0


def read_usage(usage: Any) -> ReportedUsage | None:
    """Return what a provider's usage object says; None if it says nothing, or is none.

    Takes the object itself, as JSON: OpenAI's and Anthropic's `usage`, Gemini's `usageMetadata`, Bedrock's
    `usage`, or CrewAI's or LiteLLM's form of them. Never raises.
    """
    if not isinstance(usage, Mapping):
        return None
    figures = Figures(cast("UsageObject", usage), paths_of(cast("UsageObject", usage)))
    tokens = _reader(figures.usage)(figures)
    if not (tokens.input or tokens.output or not figures.sound):
        return None
    return ReportedUsage(tokens, figures.sound, figures.unexplained)


def says_nothing_was_used(usage: Mapping[str, Any]) -> bool:
    """Tell whether an object counts 0 of what it counts: of a call that was broken off, or has not run yet."""
    counts = [value for name, value in paths_of(usage).items() if "token" in name.lower()]
    return any(value == 0 for value in counts) and not any(
        value for value in counts if isinstance(value, int | float | str)
    )


def read_variant(usage: Mapping[str, Any]) -> Variant | None:
    """Return in which variant of its price a call was made, by its usage object; None if that tells none.

    Anthropic's has `speed` and `service_tier`, https://platform.claude.com/docs/en/api/messages; Gemini's
    `serviceTier`, and on Vertex AI `trafficType`, https://ai.google.dev/api/generate-content#UsageMetadata.
    """
    if usage.get("speed") == "fast":
        return "fast"
    said = usage.get("service_tier") or usage.get("serviceTier")
    traffic = usage.get("traffic_type") or usage.get("trafficType")
    words: tuple[Any, ...] = said, _TRAFFIC.get(str(traffic))
    return next((tier for tier in _TIERS if words.count(tier)), None)


def _reader(usage: UsageObject) -> Any:
    if "promptTokenCount" in usage or "prompt_token_count" in usage:
        return _gemini
    if "total_input_tokens" in usage or "totalInputTokens" in usage:
        return _interactions
    if "inputTokens" in usage:
        return _bedrock
    if "prompt_tokens" not in usage and any(name in usage for name in _ANTHROPIC):
        return _anthropic
    return _openai


_SAID_BY_GEMINI = (
    "candidatesTokenCount",
    "candidates_token_count",
    "responseTokenCount",
    "response_token_count",
    "generation_token_count",
)
_ANTHROPIC = (
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "iterations",
)


def _anthropic(figures: Figures) -> TokenCounts:
    parts = [_of_anthropic(figures)]
    for iteration in _objects(figures.usage.get("iterations")):
        if iteration.get("type") == "compaction":  # the others are in the sum
            more = Figures(iteration, paths_of(iteration))
            parts.append(_of_anthropic(more))
            figures.sound = figures.sound and more.sound
    return counts(figures, *(sum(getattr(part, kind) for part in parts) for kind in _COUNTED))


def _of_anthropic(figures: Figures) -> TokenCounts:
    read = figures.first("cache_read_input_tokens")
    written = figures.first("cache_creation_input_tokens")
    hour = figures.first("cache_creation.ephemeral_1h_input_tokens")
    minutes = figures.first("cache_creation.ephemeral_5m_input_tokens")
    output = figures.first("output_tokens")
    thought = figures.first("output_tokens_details.thinking_tokens")
    sent, minutes = figures.first("input_tokens"), max(minutes, written - hour)
    cached, total = read + minutes + hour, figures.first("total_tokens")
    if cached and 0 < total == sent + output:  # the cache is part of the input
        sent = rest(figures, sent, cached)
    return counts(figures, sent, read, minutes, hour, output, thought)


def _bedrock(figures: Figures) -> TokenCounts:
    read = figures.first("cacheReadInputTokens", "cacheReadInputTokenCount")
    written = figures.first("cacheWriteInputTokens", "cacheWriteInputTokenCount")
    hour = sum(figures.count(detail.get("inputTokens")) for detail in _written_for_an_hour(figures))
    output = figures.first("outputTokens")
    return counts(figures, figures.first("inputTokens"), read, written - hour, hour, output, 0)


def _written_for_an_hour(figures: Figures) -> Iterator[UsageObject]:
    return (each for each in _objects(figures.usage.get("cacheDetails")) if each.get("ttl") == "1h")


def _objects(value: Any) -> Iterator[UsageObject]:
    """Yield the objects of a list; nothing of what is no list."""
    for each in cast("list[Any]", value) if isinstance(value, list) else []:
        if isinstance(each, Mapping):
            yield cast("UsageObject", each)


def _gemini(figures: Figures) -> TokenCounts:
    prompt = figures.first("promptTokenCount", "prompt_token_count")
    read = figures.first(
        "cachedContentTokenCount", "cached_content_token_count", "cached_prompt_tokens"
    )
    said = figures.first(*_SAID_BY_GEMINI)
    thought = figures.first("thoughtsTokenCount", "thoughts_token_count", "reasoning_tokens")
    tools = figures.first("toolUsePromptTokenCount", "tool_use_prompt_token_count")
    on_top = figures.first("totalTokenCount", "total_token_count") - prompt - said - thought
    if on_top > tools and not any(name in figures.usage for name in _SAID_BY_GEMINI):
        said = figures.unexplained = on_top - tools  # nobody says what: it may be the answer
    else:
        tools = max(tools, on_top)  # CrewAI leaves them out, but not of the sum
    uncached = rest(figures, prompt, read) + tools
    return counts(figures, uncached, min(read, prompt), 0, 0, said + thought, thought)


def _interactions(figures: Figures) -> TokenCounts:
    sent = figures.first("total_input_tokens", "totalInputTokens")
    read = figures.first("total_cached_tokens", "totalCachedTokens")
    said = figures.first("total_output_tokens", "totalOutputTokens")
    thought = figures.first("total_thought_tokens", "totalThoughtTokens")
    tools = figures.first("total_tool_use_tokens", "totalToolUseTokens")
    uncached = rest(figures, sent, read) + tools
    return counts(figures, uncached, min(read, sent), 0, 0, said + thought, thought)


def _openai(figures: Figures) -> TokenCounts:
    sent, output = (
        figures.first("prompt_tokens", "input_tokens"),
        figures.first("completion_tokens", "output_tokens"),
    )
    read, written, hour = _cached(figures)
    thought = figures.first(
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "output_token_details.reasoning",  # LangChain
        "reasoning_tokens",
    )
    on_top = figures.first("total_tokens") - sent - output
    cached = read + written
    if on_top > 0 and on_top == thought:
        output += thought
    elif on_top > 0 and on_top in (cached, cached + thought):
        sent += cached
        output += on_top - cached
    elif on_top > 0:  # nobody says what it is; thoughts, mostly, and they are the dearest
        output, figures.unexplained = output + on_top, on_top
    if thought > output:
        figures.sound, output = False, output + thought
    if cached > sent:
        figures.sound, sent = False, sent + cached
    return counts(figures, sent - cached, read, written - hour, hour, output, thought)


def _cached(figures: Figures) -> tuple[int, int, int]:
    """Return tokens that were read from the cache, written to it, and of these for an hour."""
    if not any("cache" in path for path in figures.paths):  # as all names below do
        return 0, 0, 0
    read = figures.first(
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cached_prompt_tokens",
        "cached_tokens",
        "cache_read_input_tokens",
        "input_tokens_details.cache_read_input_tokens",  # Perplexity
        "input_token_details.cached_tokens",  # OpenAI's Realtime API
        "input_token_details.cache_read",  # LangChain
        "prompt_cache_hit_tokens",  # DeepSeek
        "cached_prompt_text_tokens",  # xAI
    )
    written = figures.first(
        "prompt_tokens_details.cache_write_tokens",
        "input_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cache_creation_tokens",
        "cache_creation_tokens",
        "cache_creation_input_tokens",
        "input_token_details.cache_creation",
    )
    hour = figures.first(
        "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
        "cache_creation_token_details.ephemeral_1h_input_tokens",
        "cache_creation.ephemeral_1h_input_tokens",
        "input_token_details.ephemeral_1h_input_tokens",
    )
    return read, max(written, hour), hour

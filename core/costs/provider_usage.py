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
- LiteLLM and CrewAI write most of them in OpenAI's form, with Anthropic's names beside it.

Gateways in OpenAI's form often keep to another convention than OpenAI (xAI's reasoning and Anthropic's cache
come on top there), and some count the cache as part of Anthropic's input. `total_tokens` tells that: what it
exceeds the sum by is what comes on top.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from core.costs.price_lists import Variant
from core.costs.token_counts import MOST_TOKENS, TokenCounts

_Usage = Mapping[str, Any]
_TIERS: tuple[Variant, ...] = ("batch", "flex", "priority")
_COUNTED = tuple(field.name for field in fields(TokenCounts))
_LONGEST_NUMBER = 12  # characters
_DEEPEST = 3  # names of a path


@dataclass(frozen=True, slots=True)
class ReportedUsage:
    """What a provider reported. Not `sound`: it cannot be so, and the nearest that can be counts.

    `unexplained` tokens are of a sum that is more than its parts; they count as output.
    """

    tokens: TokenCounts
    sound: bool = True
    unexplained: int = 0


@dataclass(slots=True)
class _Figures:
    """Figures of a usage object; `sound` until one is no count. `paths`: `a.b` is b inside of a.

    `unexplained` are as ReportedUsage has them.
    """

    usage: _Usage
    paths: dict[str, Any]
    sound: bool = True
    unexplained: int = 0

    def first(self, *paths: str) -> int:
        """Return the first of the figures that is told and not 0, else 0."""
        for path in paths:
            if (value := self.paths.get(path)) is not None and (count := self.count(value)):
                return count
        return 0

    def count(self, value: Any) -> int:
        """Return a figure as a count, the nearest that can be."""
        if value is None:
            return 0
        number = value if type(value) is int else _whole(value)
        if number is None:
            self.sound = False
            return 0
        if 0 <= number <= MOST_TOKENS:
            return number
        self.sound = False
        return 0 if number < 0 else MOST_TOKENS


def read_usage(usage: Any) -> ReportedUsage | None:
    """Return what a provider's usage object says; None if it says nothing, or is none.

    Takes the object itself, as JSON: OpenAI's and Anthropic's `usage`, Gemini's `usageMetadata`, Bedrock's
    `usage`, or CrewAI's or LiteLLM's form of them. Never raises.
    """
    if not isinstance(usage, Mapping):
        return None
    figures = _Figures(cast("_Usage", usage), _paths(cast("_Usage", usage)))
    tokens = _reader(figures.usage)(figures)
    if not (tokens.input or tokens.output or not figures.sound):
        return None
    return ReportedUsage(tokens, figures.sound, figures.unexplained)


def read_variant(usage: Mapping[str, Any]) -> Variant | None:
    """Return in which variant of its price a call was made, by its usage object; None if that tells none.

    Anthropic's has `speed` and `service_tier`, https://platform.claude.com/docs/en/api/messages.
    """
    if usage.get("speed") == "fast":
        return "fast"
    return next((variant for variant in _TIERS if variant == usage.get("service_tier")), None)


def _paths(usage: _Usage, before: str = "", deep: int = 1) -> dict[str, Any]:
    """Return the members of an object and of those inside of it by their paths, three names at most."""
    found = dict[str, Any]()
    for name, value in usage.items():
        path = f"{before}{name}"
        found[path] = value
        if deep < _DEEPEST and not isinstance(value, int | str) and isinstance(value, Mapping):
            found |= _paths(cast("_Usage", value), f"{path}.", deep + 1)
    return found


def _reader(usage: _Usage) -> Any:
    if "promptTokenCount" in usage or "prompt_token_count" in usage:
        return _gemini
    if "inputTokens" in usage:
        return _bedrock
    if "prompt_tokens" not in usage and any(name in usage for name in _ANTHROPIC):
        return _anthropic
    return _openai


_ANTHROPIC = (
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "iterations",
)


def _anthropic(figures: _Figures) -> TokenCounts:
    parts = [_of_anthropic(figures)]
    for iteration in _objects(figures.usage.get("iterations")):
        if iteration.get("type") == "compaction":  # the others are in the sum
            more = _Figures(iteration, _paths(iteration))
            parts.append(_of_anthropic(more))
            figures.sound = figures.sound and more.sound
    return _counts(figures, *(sum(getattr(part, kind) for part in parts) for kind in _COUNTED))


def _of_anthropic(figures: _Figures) -> TokenCounts:
    read = figures.first("cache_read_input_tokens")
    written = figures.first("cache_creation_input_tokens")
    hour = figures.first("cache_creation.ephemeral_1h_input_tokens")
    minutes = figures.first("cache_creation.ephemeral_5m_input_tokens")
    output = figures.first("output_tokens")
    thought = figures.first("output_tokens_details.thinking_tokens")
    sent, minutes = figures.first("input_tokens"), max(minutes, written - hour)
    cached, total = read + minutes + hour, figures.first("total_tokens")
    if cached and 0 < total == sent + output:  # the cache is part of the input
        sent = _rest(figures, sent, cached)
    return _counts(figures, sent, read, minutes, hour, output, thought)


def _bedrock(figures: _Figures) -> TokenCounts:
    read = figures.first("cacheReadInputTokens", "cacheReadInputTokenCount")
    written = figures.first("cacheWriteInputTokens", "cacheWriteInputTokenCount")
    hour = sum(figures.count(detail.get("inputTokens")) for detail in _written_for_an_hour(figures))
    output = figures.first("outputTokens")
    return _counts(figures, figures.first("inputTokens"), read, written - hour, hour, output, 0)


def _written_for_an_hour(figures: _Figures) -> Iterator[_Usage]:
    return (each for each in _objects(figures.usage.get("cacheDetails")) if each.get("ttl") == "1h")


def _objects(value: Any) -> Iterator[_Usage]:
    """Yield the objects of a list; nothing of what is no list."""
    for each in cast("list[Any]", value) if isinstance(value, list) else []:
        if isinstance(each, Mapping):
            yield cast("_Usage", each)


def _gemini(figures: _Figures) -> TokenCounts:
    prompt = figures.first("promptTokenCount", "prompt_token_count")
    read = figures.first(
        "cachedContentTokenCount", "cached_content_token_count", "cached_prompt_tokens"
    )
    said = figures.first("candidatesTokenCount", "candidates_token_count")
    thought = figures.first("thoughtsTokenCount", "thoughts_token_count", "reasoning_tokens")
    tools = figures.first("toolUsePromptTokenCount", "tool_use_prompt_token_count")
    total = figures.first("totalTokenCount", "total_token_count")
    tools = max(
        tools, total - prompt - said - thought
    )  # CrewAI leaves them out, but not of the sum
    uncached = _rest(figures, prompt, read) + tools
    return _counts(figures, uncached, min(read, prompt), 0, 0, said + thought, thought)


def _openai(figures: _Figures) -> TokenCounts:
    sent, output = (
        figures.first("prompt_tokens", "input_tokens"),
        figures.first("completion_tokens", "output_tokens"),
    )
    read, written, hour = _cached(figures)
    thought = figures.first(
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
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
    return _counts(figures, sent - cached, read, written - hour, hour, output, thought)


def _cached(figures: _Figures) -> tuple[int, int, int]:
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
        "prompt_cache_hit_tokens",  # DeepSeek
        "cached_prompt_text_tokens",  # xAI
    )
    written = figures.first(
        "prompt_tokens_details.cache_write_tokens",
        "input_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cache_creation_tokens",
        "cache_creation_tokens",
        "cache_creation_input_tokens",
    )
    hour = figures.first(
        "prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens",
        "cache_creation_token_details.ephemeral_1h_input_tokens",
        "cache_creation.ephemeral_1h_input_tokens",
    )
    return read, max(written, hour), hour


def _rest(figures: _Figures, whole: int, part: int) -> int:
    """Return the whole without a part of it, and not less than nothing."""
    figures.sound = figures.sound and part <= whole
    return max(0, whole - part)


def _counts(
    figures: _Figures, uncached: int, read: int, minutes: int, hour: int, output: int, thought: int
) -> TokenCounts:
    """Return the counts, each brought to what can be."""
    kinds = [figures.count(kind) for kind in (uncached, read, max(0, minutes), hour, output)]
    figures.sound = figures.sound and thought <= kinds[-1]
    return TokenCounts(*kinds, reasoning=min(thought, kinds[-1]))


def _whole(value: Any) -> int | None:
    """Return a whole number, also one that is written as a text or a float; None for anything else."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= _LONGEST_NUMBER:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None

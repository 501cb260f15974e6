"""Facts: what is recorded of model calls beyond their usage, so that it can be told what they could save.

Facts are named whole numbers that add up, kept with the sums of a day. Those that are 0 are left out.

| name | of these calls |
|---|---|
| `cacheable` | input tokens of prompts that are long enough for a provider's cache, as are those of the next two rows |
| `stable`, `stable_5m`, `stable_1h` | tokens of tools and system messages; of these, ones that another call had sent within so long before |
| `prefix_5m`, `prefix_1h`, `hits_5m`, `hits_1h` | input tokens that begin as an earlier call did, whole or its stable part; calls that do |
| `repeats`, `repeats_cost` | calls that ask just what was answered before, and their nano-dollars |
| `older_rounds` | input tokens of an agent's rounds before its last |
| `tier_n`, `tier_over`, `tier_extra` | calls in a dearer tier, tokens beyond its start, nano-dollars more than in the first |
| `out_n_K` | answers of up to 2^K tokens (and more than half of that) |
| `cut_n_K`, `cut_K` | answers that were cut off at a limit, and their tokens |
| `write_1h` | tokens written to a cache for an hour |
| `unread_n`, `unread` | cache writes that nothing read in time, and their tokens |
| `effort_L_n`, `effort_L_tokens`, `effort_L_said` | calls with the reasoning effort L, their reasoning, and what else they answered |
| `effort_L_tries`, `effort_L_again` | as the next row, with the effort L |
| `tries`, `tries_again`, `tries_checked` | answers begun to a task; of these, ones that follow a failed one; ones that a schema, a guardrail or a person checks |
| `wasted_R_n`, `wasted_R_cost` | calls whose answers were no use, and their nano-dollars; R is `error`, `refused`, `retry` or `failed` (a step for good) |
| `late_n`, `late_*` | calls that nobody waits for, and their usage |
| `V_*` | calls that were made as the variant V (`batch`, `flex`, ...) of a model, and their usage |
| `quality_Q` | answers or calls of this required quality, `low` or `critical` |
"""

from collections.abc import Mapping
from types import MappingProxyType

from core.costs.rates import Rates
from core.costs.token_counts import TokenCounts
from core.costs.usage import Usage

Facts = Mapping[str, int]
NO_FACTS: Facts = MappingProxyType({})
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")  # from the least
# Of usage: what the calls that nobody waits for are priced again by.
LATE = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_nanodollars",
)


def added(*facts: Facts) -> dict[str, int]:
    """Return the sums of facts, without those that are 0."""
    total = dict[str, int]()
    for each in facts:
        for name, value in each.items():
            total[name] = total.get(name, 0) + value
    return {name: value for name, value in total.items() if value}


def of_tokens(tokens: TokenCounts, rates: Rates | None, *, cut: bool = False) -> dict[str, int]:
    """Return what the sizes of a call say. `cut`: its answer ended at a limit, and is no use."""
    size, hour = bucket(tokens.output), tokens.cache_write_1h
    facts = {f"cut_n_{size}": 1} if cut else {f"out_n_{size}": 1}
    if cut and tokens.output:
        facts[f"cut_{size}"] = tokens.output
    if hour:
        facts["write_1h"] = hour
    return facts | _tier(tokens, rates)


def bucket(tokens: int) -> int:
    """Return the least K with tokens <= 2^K."""
    return max(0, tokens - 1).bit_length()


def _tier(tokens: TokenCounts, rates: Rates | None) -> dict[str, int]:
    tier = rates.tier(tokens.input) if rates else None
    if rates is None or tier is None or tier.above == 0:
        return {}
    cost, first = rates.cost_nanodollars(tokens), rates.first_tier.cost_nanodollars(tokens)
    if cost is None or first is None or cost <= first:
        return {}
    return {"tier_n": 1, "tier_over": tokens.input - tier.above, "tier_extra": cost - first}


def of_effort(effort: str | None, tokens: TokenCounts) -> dict[str, int]:
    """Return what a call's reasoning effort says; nothing for a level that nobody knows."""
    if effort not in EFFORTS:
        return {}
    said = tokens.output - tokens.reasoning
    of = f"effort_{effort}"
    return {f"{of}_n": 1, f"{of}_tokens": tokens.reasoning, f"{of}_said": said}


def of_variant(variant: str, usage: Usage) -> dict[str, int]:
    """Return what a call says that was made as a variant of a model; nothing of the standard."""
    if variant == "standard":
        return {}
    return {f"{variant}_{name}": value for name, value in usage.public().items() if value}


def of_late(usage: Usage) -> dict[str, int]:
    """Return what a call says that nobody waits for."""
    sums = usage.public()
    return {"late_n": usage.calls} | {f"late_{name}": sums[name] for name in LATE}

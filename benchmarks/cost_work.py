"""The work load of the cost benchmarks: calls as a real service had them.

Tokens are those of a trace of an LLM service, in its order (benchmarks/data/README.md); times are
spread evenly over the days. Six kinds of calls by five people stand for a small product.
"""

import csv
import gzip
import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from core.costs.recording import RecordedCall
from core.costs.rollup import DAY_MS, Names
from core.costs.usage import Usage

TRACE = Path(__file__).parent / "data" / "azure_llm_conv_2023.csv.gz"
KINDS = (  # crew, task, agent, model, and what a million input and output tokens cost in nano-dollars
    ("support", "triage", "clerk", "openai/gpt-4o-mini", 150, 600),
    ("support", "answer", "writer", "openai/gpt-4o", 2_500, 10_000),
    ("support", "check", "reviewer", "anthropic/claude-sonnet-4-5", 3_000, 15_000),
    ("research", "gather", "reader", "gemini/gemini-2.5-flash", 300, 2_500),
    ("research", "write", "writer", "openai/gpt-4o", 2_500, 10_000),
    ("import", "map", "mapper", "openai/gpt-4o-mini", 150, 600),
)
PEOPLE = ("ann", "bob", "cleo", "dai", "eve")


@cache
def trace() -> list[tuple[int, int]]:
    """Return input and output tokens of the trace's calls, in order."""
    with gzip.open(TRACE, "rt", encoding="utf-8") as file:
        rows = csv.DictReader(io.StringIO(file.read()))
        return [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in rows]


def names(number: int) -> Names:
    """Return the names of a call."""
    crew, task, agent, model, *_ = KINDS[number % len(KINDS)]
    return crew, task, agent, PEOPLE[number // len(KINDS) % len(PEOPLE)], model


def calls(count: int, days: int, now_ms: int, prefix: str) -> Iterator[RecordedCall]:
    """Yield calls of the last days, oldest first."""
    tokens = trace()
    first_ms = now_ms - (days - 1) * DAY_MS
    for number in range(count):
        sent, received = tokens[number % len(tokens)]
        *_, for_input, for_output = KINDS[number % len(KINDS)]
        used = Usage(1, sent, received, sent * for_input + received * for_output)
        at_ms = first_ms + number * (days - 1) * DAY_MS // count
        yield RecordedCall(f"{prefix}{number}", at_ms, names(number), used, None, prefix)

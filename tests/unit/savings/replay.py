"""A service whose model calls are recorded, and can be priced again as if something had been changed.

Sizes and times are those of a trace of a real service (benchmarks/data). What a call says is made up: only
what repeats matters. A token is four characters, so the provider counts as the tests do.
"""

import asyncio
import csv
import gzip
import io
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from core.adapters.price_catalogues import CataloguePriceBook
from core.costs.cells import Cell
from core.costs.facts import Facts, added, of_effort, of_tokens
from core.costs.price_lists import Variant
from core.costs.prices import priced, rates_of
from core.costs.prompt_history import PromptHistory, pieces
from core.costs.report import Query
from core.costs.rollup import day_of
from core.costs.savings.found import with_period
from core.costs.savings.recommendation import Kind, Recommendation
from core.costs.savings.report import ORDER, Savings, recommendations, savings
from core.costs.savings.spend import Known, Record
from core.costs.token_counts import TokenCounts
from core.costs.usage import Usage
from core.crews.tries import Tries
from core.flows import events

TRACE = Path(__file__).parents[3] / "benchmarks" / "data" / "azure_llm_conv_2023.csv.gz"
NOON = 1_795_608_000_000  # 2026-11-25T12:00Z
QUERY = Query(date(2026, 11, 1), date(2026, 11, 30))
BOOK = CataloguePriceBook()
Message = tuple[str, str]  # role, text


@dataclass(frozen=True, slots=True)
class Arrival:
    at_ms: int
    input: int
    output: int


@cache
def trace() -> list[Arrival]:
    """Return the trace's calls as if they had begun at noon."""
    with gzip.open(TRACE, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    times = [datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC) for row in rows]
    return [
        Arrival(
            NOON + round((time - times[0]).total_seconds() * 1000),
            int(row["ContextTokens"]),
            int(row["GeneratedTokens"]),
        )
        for time, row in zip(times, rows, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Made:
    """One call. `before`: what failed right before it: `answer_refused` and so on, if anything did.

    `cache`: what of it a breakpoint keeps (`instructions`, `prompt`, or nothing), `time` for how long.
    """

    at_ms: int
    messages: Sequence[Message]
    output: int
    model: str
    task: str = "write"
    flow: int = 0
    reasoning: int = 0
    effort: str | None = None
    cut: bool = False
    before: str | None = None
    late: bool = False
    checked: bool = False
    cache: str = ""
    time: str = "5m"
    variant: Variant = "standard"

    @property
    def names(self) -> tuple[str, str, str, str]:
        return "brief", self.task, "writer", self.model

    @property
    def input(self) -> int:
        return sum(len(text) for _, text in self.messages) // 4


def text(tokens: int, *seed: Any) -> str:
    """Return a text of so many tokens that no other seed has."""
    begin = repr(seed)
    return (begin + "x" * (4 * tokens))[: 4 * tokens]


class ProviderCache:
    """What a provider keeps of prompts, by the whole texts: told apart from how we remember them."""

    def __init__(self) -> None:
        self._until = dict[tuple[Message, ...], int]()

    def tokens(self, call: Made) -> TokenCounts:
        """Return how a call's tokens are counted, and keep what its breakpoints say."""
        messages, total = tuple(call.messages), call.input
        plain = TokenCounts(total, output=call.output, reasoning=call.reasoning)
        if not call.cache or total < 1024:
            return plain
        stable = next(
            (n for n, (role, _) in enumerate(messages) if role != "system"), len(messages)
        )
        ends = [n for n in range(len(messages), 0, -1) if self._size(messages[:n]) >= 1024]
        kept = [n for n in ends if self._until.get(messages[:n], 0) >= call.at_ms]
        marks = [n for n in ({stable} if call.cache == "instructions" else {stable, len(messages)}) if n in ends]  # fmt: skip
        if call.cache == "instructions":
            kept = [n for n in kept if n <= stable]
        read = self._size(messages[: kept[0]]) if kept else 0
        last = max((self._size(messages[:n]) for n in marks), default=0)
        written = max(0, last - read)
        for n in {*marks, *kept[:1]}:
            self._until[messages[:n]] = call.at_ms + (300_000 if call.time == "5m" else 3_600_000)
        return replace(
            plain,
            uncached_input=total - read - written,
            cache_read=read,
            **{f"cache_write_{call.time}": written},
        )

    def _size(self, messages: Iterable[Message]) -> int:
        return sum(len(text) for _, text in messages) // 4


def cost(calls: Iterable[Made]) -> int:
    """Return what a provider bills for calls, one by one."""
    cache, total = ProviderCache(), 0
    for call in sorted(calls, key=lambda each: each.at_ms):
        rates = rates_of(BOOK, call.model, call.at_ms, call.variant)
        assert rates is not None
        billed = rates.cost_nanodollars(cache.tokens(call))
        assert billed is not None
        total += billed
    return total


def recorded(calls: Iterable[Made], workers: int = 1) -> list[Cell]:
    """Return what is recorded of calls: the cells of their days. Each worker knows what it sent itself."""
    cache, histories = ProviderCache(), [PromptHistory() for _ in range(workers)]
    sums = defaultdict[Any, tuple[Usage, Facts]](lambda: (Usage(), {}))
    tries = dict[tuple[str, int, str], Tries]()
    for call in sorted(calls, key=lambda each: each.at_ms):
        where = ("acme", *call.names)
        history = histories[call.flow % workers]
        looked = history.look(where, pieces("", call.messages), call.at_ms)
        tokens, rates = cache.tokens(call), rates_of(BOOK, call.model, call.at_ms)
        usage = priced(rates, tokens)
        history.keep(looked.sent, call.at_ms, answered=not call.cut)
        of_flow = tries.setdefault(
            (call.task, call.flow, call.model),
            Tries(is_unattended=call.late, is_checked=call.checked),
        )
        if call.before:
            of_flow.heard(events.custom(call.before, {}))
        of_flow.called(call.model)
        facts = added(
            of_tokens(tokens, rates, cut=call.cut),
            of_effort(call.effort, tokens),
            looked.facts(call.model, tokens, usage.cost_nanodollars),
            history.unread(where, tokens, call.at_ms),
        )
        cell = day_of(call.at_ms), call.names
        before, known = sums[cell]
        sums[cell] = before + usage, added(known, of_flow.facts(usage, facts))
    return [
        Cell.of(day, None, (crew, task, agent, "ann", model), usage, facts)
        for (day, (crew, task, agent, model)), (usage, facts) in sorted(sums.items())
    ]


def record_of(cells: Iterable[Cell]) -> Record:
    record = Record()
    record.take(cells)
    return record


def savings_of(record: Record) -> Savings:
    return asyncio.run(savings("t", QUERY, record, BOOK, NOON))


def promised(calls: Iterable[Made]) -> Savings:
    """Return what is recommended after these calls."""
    return savings_of(record_of(recorded(calls)))


def alone(calls: Iterable[Made], kind: Kind, workers: int = 1) -> Recommendation:
    """Return the one recommendation of a kind, as if no other were followed before it."""
    known = Known.of(BOOK, NOON, record_of(recorded(calls, workers)))
    (find,) = [each for each in ORDER if each.__name__ == kind]
    every = [recommendations(spend, known, [find]) for spend in known.spends.values()]
    (one,) = [each for some in every for each in some]
    return with_period(one, "", "", known.spends[one.target.names])


def kinds(found: Savings) -> list[Kind]:
    """Return the kinds that are recommended, in the order in which they are counted."""
    return sorted({each.target.kind for each in found.recommendations}, key=list(Kind).index)


def replayed(calls: Sequence[Made], change: Callable[[Made], Made | None]) -> int:
    """Return what is saved when each call is made as changed; None is not made."""
    changed = [change(call) for call in calls]
    return cost(calls) - cost(call for call in changed if call is not None)


def keeps(found: Recommendation, saved: int) -> bool:
    """Tell whether what was replayed lies in the promised range, to a nano-dollar for each call."""
    money, slack = found.money, int(found.evidence["calls"])
    return money.low - slack <= saved <= money.high + slack


def agent_rounds(flow: Arrival, number: int, rounds: int, system: str, model: str, **more: Any) -> list[Made]:  # fmt: skip
    """Return the calls of an agent that asks its tools a few times."""
    ask, said, calls = text(max(1, flow.input), "ask", number), list[Message](), list[Made]()
    for at in range(rounds):
        messages = [("system", system), ("user", ask), *said]
        calls.append(
            Made(flow.at_ms + at * 4000, messages, flow.output, model, flow=number, **more)
        )
        said += [
            ("assistant", text(60, "call", number, at)),
            ("tool", text(flow.input // 2 + 50, "answer", number, at)),
        ]
    return calls


def flows(count: int, rounds: int, model: str, *, system: int = 1500, **more: Any) -> list[Made]:
    """Return the calls of flows that arrive and are as long as those of the trace."""
    instructions = text(system, "system")
    arrivals = itertools.islice(trace(), count)
    made = [
        agent_rounds(each, n, rounds, instructions, model, **more)
        for n, each in enumerate(arrivals)
    ]
    return [call for calls in made for call in calls]

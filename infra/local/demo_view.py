"""What the demonstration draws: the steps as they happen, then the mapping and what it cost."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from infra.mapping_score import score, truths

SHOWN_CHARACTERS = 300
NANODOLLARS = 1e9


class View:
    """The live picture of a flow, fed with its events."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=12)
        self._done: list[Text] = []
        self._now: dict[str, tuple[float, str]] = {}
        self._tokens = self._nanodollars = 0
        self._said = ""  # the message that is being written

    def __enter__(self) -> Self:
        self._live.start()
        self._draw("waiting for the worker (it loads CrewAI, some seconds)")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        self._live.console.print()

    def show(self, event: dict[str, Any]) -> None:
        """Draw one more event."""
        match event:
            case {"type": "STEP_STARTED", "stepName": step}:
                self._now[step] = time.monotonic(), "thinking"
            case {"type": "CUSTOM", "name": "step_retried", "value": {"step": step}}:
                self._now[step] = time.monotonic(), "again, its worker was lost"
            case {"type": "STEP_FINISHED", "stepName": step}:
                began, _ = self._now.pop(step, (time.monotonic(), ""))
                self._line(f"[green]✓[/] {step} [dim]{time.monotonic() - began:.1f} s[/]")
            case {"type": "TOOL_CALL_START", "toolCallName": tool}:
                self._line(f"  [cyan]tool[/] {escape(tool)}")
            case {"type": "TEXT_MESSAGE_CONTENT", "delta": text}:
                self._said += text
            case {"type": "TEXT_MESSAGE_END"}:
                self._say()
            case {"type": "CUSTOM", "name": "model_call", "value": usage}:
                self._tokens += usage["input_tokens"] + usage["output_tokens"]
                self._nanodollars += usage["cost_nanodollars"]
            case {"type": "RUN_ERROR"}:
                for step in self._now or {"the flow"}:
                    self._line(f"[red]✗ {step}[/]")
                self._now.clear()
            case _:
                pass
        self._draw()

    def _say(self) -> None:
        """Keep a line of the message that is complete."""
        if self._said:
            self._line(f"  [dim]{escape(_short(self._said))}[/]")
        self._said = ""

    def _line(self, markup: str) -> None:
        line = Text.from_markup(markup, overflow="ellipsis")
        line.no_wrap = True
        self._done.append(line)

    def _draw(self, waiting: str | None = None) -> None:
        under_way = [f"{step}: {what}" for step, (_, what) in self._now.items()]
        spinning = [Spinner("dots", escape(line)) for line in under_way or [waiting] if line]
        spent = f"{self._tokens:,} tokens, ${self._nanodollars / NANODOLLARS:.6f}"
        self._live.update(Group(*self._done, *spinning, Text(spent, style="dim")))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} ..."


def print_outcome(console: Console, state: dict[str, Any], csv: Path, url: str) -> None:
    """Print the mapping, how right it is where that is known, the bill, and where to look."""
    if state["status"] == "succeeded":
        columns = state["output"]["columns"]
        console.print(_mapping(columns))
        _print_score(console, columns, csv)
    _print_usage(console, state["usage"])
    flow = f"{url}/v1/flows/{state['id']}"
    console.print(
        f"status  {flow}\nevents  {flow}/events\n"
        "[dim](they answer while make dev runs, to requests with the token that it prints; its page shows"
        " the flow in a browser)[/]",
        soft_wrap=True,
    )


def print_budget(console: Console, budget: dict[str, Any]) -> None:
    """Print what is spent of a crew's budget of a day; its window is the last one told."""
    spent = budget["spent"][-1]["spent_usd"] if budget["spent"] else "0"
    kind = "a call that does not fit is not made" if budget["hard"] else "it only tells"
    console.print(
        f"budget  {budget['name']}: ${spent} of ${budget['limit_usd']} are spent today ({kind})"
    )


def _mapping(columns: list[dict[str, Any]]) -> Table:
    table = Table("column", "field", "confidence", "reason")
    for entry in columns:
        confidence = f"{entry['confidence']:.2f}"
        row = entry["column"], entry["field"] or "-", confidence, _short(entry["reason"])
        table.add_row(*map(escape, row), style=None if entry["field"] else "dim")
    return table


def _print_score(console: Console, columns: list[dict[str, Any]], csv: Path) -> None:
    truth = truths().get(csv.name)
    if truth is None:
        return
    its = score(columns, truth)
    console.print(
        f"{its.right} right of {its.claimed} mapped, {its.wanted} were wanted: "
        f"precision {its.precision:.2f}, recall {its.recall:.2f}, F1 {its.f1:.2f}"
    )


def _print_usage(console: Console, usage: dict[str, int]) -> None:
    spent = f"${usage['cost_nanodollars'] / NANODOLLARS:.6f}"
    if usage["demo_calls"]:
        spent += " (the offline model's demonstration price: nobody is billed)"
    if usage["unpriced_calls"]:
        spent += f" and {usage['unpriced_calls']} unpriced calls"
    tokens = f"{usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} out"
    console.print(f"{usage['calls']} model calls, {tokens}, {spent}")

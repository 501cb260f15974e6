"""The demonstration's second part: a source delivers twice, and a person corrects the first mapping.

Everything goes through the API: two uploads, two flows, and the corrections that `truth.json` gives as
thumbs in between. What the second mapping does otherwise, a lesson has moved.
"""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clients.crewline import AsyncCrewline
from infra.mapping_score import CREW, score, truths

SOURCE = "is_stadfang.dsv"
NO_FIELD = "(none)"
MOST_AT_ONCE = 500  # feedback of one request
Columns = list[dict[str, Any]]


def deliveries(path: Path) -> list[bytes]:
    """Return a file as two: the header, and every other row each."""
    head, *rows = path.read_bytes().splitlines(keepends=True)
    return [head + b"".join(rows[start::2]) for start in (0, 1)]


async def learn(console: Console, client: AsyncCrewline) -> None:
    """Map a file's first half, correct it, map its second half; print what changed, and why."""
    first_half, second_half = deliveries(CREW / "examples" / SOURCE)
    truth = truths()[SOURCE]
    flow, before = await _mapped(client, first_half)
    said = corrections(flow, before, truth)
    await client.call("POST", "/v1/feedback", json={"feedback": said})
    _, after = await _mapped(client, second_half)
    if len(said) == 1:
        console.print("[bold]learning[/]: what was to be corrected was so in an earlier run")
        return
    console.print(_changes(before, after, truth))
    earlier, later = score(before, truth), score(after, truth)
    console.print(
        f"[bold]learning[/]: {SOURCE} in two deliveries; {len(said) - 1} corrections of the first one, by the API: "
        f"F1 {earlier.f1:.2f} -> {later.f1:.2f}\n"
        "[dim](python -m benchmarks.mapping_lessons: the same over eleven files, in many orders)[/]",
        soft_wrap=True,
    )


def corrections(flow: str, columns: Columns, truth: dict[str, str]) -> list[dict[str, Any]]:
    """Return what a person says of a mapping: good as a whole, but for what is wrong."""
    wrong = [each for each in columns if each["field"] != truth.get(each["column"])]
    said = [
        {
            "flow": flow,
            "thumb": "down",
            "column": each["column"],
            "correction": truth.get(each["column"], NO_FIELD),
        }
        for each in wrong
    ]
    given = [{"flow": flow, "thumb": "up"}, *said][:MOST_AT_ONCE]
    return [{"id": f"{flow}-{number}", **each} for number, each in enumerate(given)]


async def _mapped(client: AsyncCrewline, data: bytes) -> tuple[str, Columns]:
    """Return the flow that maps a file, and the mapping."""
    flow = await client.launch("import_mapping", {"file": await client.upload(data)})
    output = await client.result(flow)
    return flow, output["columns"]


def _changes(before: Columns, after: Columns, truth: dict[str, str]) -> Table:
    table = Table("column", "first delivery", "second delivery", "a person says")
    table.add_column("reason", overflow="fold")
    for old, new in zip(before, after, strict=True):
        if old["field"] != new["field"]:
            fields = old["field"], new["field"], truth.get(new["column"])
            shown = [new["column"], *(field or "-" for field in fields), new["reason"]]
            table.add_row(*map(escape, shown))
    return table

"""The tools this crew's agents may call: plain functions of a context and the model's arguments."""

import json
from typing import Any, BinaryIO, Protocol

from crews.import_mapping.profile_process import profile
from crews.import_mapping.sample import read_sample

NOTES_TOLD, NOTE_CHARS = 5, 200  # in an insight, which has a bound


class Context(Protocol):
    """What this tool needs of its context: the uploaded file, the time it has, the user's eye."""

    def open(self, input_id: str) -> BinaryIO: ...
    def size(self, input_id: str) -> int: ...
    def seconds_left(self) -> float: ...
    def tell(self, insight: str) -> None: ...


def profile_csv(context: Context, file: str) -> str:
    """Read an uploaded CSV and return its profile as JSON.

    Takes the file's id. The profile names encoding, delimiter and rows, how many bytes of how many
    were read (of a large file, the first rows), and for every column its name, share of empty
    cells, distinct values, shortest and longest value, share of numbers and their range, the most
    frequent values with their counts, and samples; the samples of all columns come from the same
    rows. A file that is no CSV is an error that says what to do.
    """
    with context.open(file) as stream:
        sample = read_sample(stream, lambda: context.size(file))
    found = profile(sample, context.seconds_left)
    context.tell(_insight(found))
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


profile_csv.is_essential = True  # type: ignore[attr-defined] -- no agent can map what it has not seen


def _insight(found: dict[str, Any]) -> str:
    rows, columns = found["rows"], f"{len(found['columns'])} columns, in {found['encoding']}"
    notes = "".join(f"\n- {note[:NOTE_CHARS]}" for note in found["notes"][:NOTES_TOLD])
    if found["bytes_read"] == found["bytes"]:
        return f"The file holds {rows} rows of {columns}.{notes}"
    part = f"{found['bytes_read'] / 1e6:.1f} of its {found['bytes'] / 1e6:.1f} MB"
    return f"The first {rows} rows of the file, {part}, were read; they have {columns}.{notes}"

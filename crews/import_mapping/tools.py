"""The tools this crew's agents may call: plain functions of a context and the model's arguments."""

import json
from dataclasses import asdict
from typing import BinaryIO, Protocol

from crews.import_mapping.profile import profile_csv as profile


class Context(Protocol):
    """What this tool needs of its context: the uploaded file, and the user's eye."""

    def open(self, input_id: str) -> BinaryIO: ...
    def tell(self, insight: str) -> None: ...


def profile_csv(context: Context, file: str) -> str:
    """Read an uploaded CSV and return its profile as JSON.

    Takes the file's id. The profile names encoding, delimiter and rows, and for every column its
    name, share of empty cells, distinct values, shortest and longest value, share of numbers and
    their range, the most frequent values with their counts, and samples; the samples of all
    columns come from the same rows. A file that is no CSV is an error that says what to do.
    """
    with context.open(file) as stream:
        found = profile(stream)
    columns = len(found.columns)
    context.tell(f"The file holds {found.rows} rows of {columns} columns, in {found.encoding}.")
    return json.dumps(asdict(found), ensure_ascii=False, separators=(",", ":"))

"""Between fields of hashes and the money they stand for: calls under way, and cells of roll-ups.

Apart from `records`, since who reads a flow needs none of it.
"""

import json
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, cast

from core.costs.cells import SUMS, Cell
from core.costs.rollup import FOLDED, NAMELESS, Names
from core.crews.call_ledger import Call
from core.identity import unescaped

_all_sums = cast("Callable[[dict[str, int]], tuple[int, ...]]", itemgetter(*SUMS))


def call(reserved: Call) -> dict[str, Any]:
    """Return what is stored of a call under way, in the record of its step under the call's id."""
    bound = reserved.bound.public()
    return {"number": reserved.number, "bound": bound, "cell": reserved.names}


def cells(fields: Sequence[tuple[str, str, str]], *, hours: bool) -> list[Cell]:
    """Return the cells of days, or of their hours, from the days, names and values of fields.

    The values are parsed all at once: that takes a third of the time.
    """
    values = json.loads(f"[{','.join(value for _, _, value in fields)}]")
    return [
        Cell(day, *_place(name, hours=hours), _plain(value), value)
        for (day, name, _), value in zip(fields, values, strict=True)
    ]


def _plain(stored: dict[str, int]) -> Sequence[int]:
    try:
        return _all_sums(stored)
    except KeyError:  # an older version has written it
        return [stored.get(name, 0) for name in SUMS]


def _place(name: str, *, hours: bool) -> tuple[int | None, Names]:
    """Return the hour and the names of a field."""
    hour, names = name.split("|", 1) if hours else (None, name)
    match names.split("|", 4):  # the last is the model, whose name may hold any character
        case [crew, task, agent, subject, model]:
            who = subject if subject == FOLDED else unescaped(subject)
            return None if hour is None else int(hour), (crew, task, agent, who, model)
        case _:  # another version has written it
            return None if hour is None else int(hour), NAMELESS

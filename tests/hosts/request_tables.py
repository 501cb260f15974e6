"""The whole table that hosts are asked, and which routes it has."""

from collections.abc import Collection, Iterator

from starlette.routing import compile_path

from tests.e2e.test_access import WAYS, Way
from tests.hosts.asking import Line
from tests.hosts.request_table import AGUI, AMP, LAUNCHES, STATUS, STREAMS
from tests.hosts.request_table_money import COSTS, LEARNING

HEALTH = [
    *(Line(name, "GET", f"/healthz/{name}", bearer="", alone=True) for name in (
        "flow_status", "flow_events", "crew_launch", "crew_amp", "crew_agui", "cost_report", "feedback",
    )),
    Line("flow_status", "GET", "/healthz/nobody", 404, alone=True),
]  # fmt: skip
TABLE = [*HEALTH, *STATUS, *STREAMS, *LAUNCHES, *AMP, *AGUI, *COSTS, *LEARNING]

NO_MODEL_YET = (
    "/v1/learning/{task}"  # goes back to a model, of which a retraining makes the first: 404 here
)


def without_a_line(table: Collection[Line]) -> Iterator[Way]:
    """Yield the ways into functions that no line of a table takes with success."""
    for way in WAYS:
        pattern = compile_path(way.path)[0]
        name = way.function.__name__.removeprefix("functions.")
        method = "GET" if way.method == "HEAD" else way.method
        taken = (
            line
            for line in table
            if (line.function, line.method) == (name, method)
            and (line.status < 300 or way.path == NO_MODEL_YET)
        )
        if not any(pattern.fullmatch(line.path.partition("?")[0]) for line in taken):
            yield way

"""What each flow cost: its own usage, for as long as the flow is kept.

Roll-ups do not know flows, of which there is no bound. So this is read from the flows themselves, a
page at a time: it costs as much as the page is long, however many calls they made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import Any

from core.costs.report import Query, sums
from core.costs.rollup import DAY_MS
from core.costs.usage import Usage


@dataclass(frozen=True, slots=True)
class FlowCost:
    """One flow: by whom it was launched, and all that it has consumed since.

    No two flows of a tenant have the same `order`, their place in the order of creation.
    """

    flow: str
    crew: str
    subject: str
    created_ms: int
    order: int
    usage: Usage

    def public(self) -> dict[str, Any]:
        """Return the line as JSON."""
        launched = datetime.fromtimestamp(self.created_ms / 1000, UTC)
        return {
            "flow": self.flow,
            "crew": self.crew,
            "subject": self.subject,
            "launched": launched.isoformat(timespec="seconds").replace("+00:00", "Z"),
        } | sums(self.usage)


def launched_between(query: Query) -> tuple[int, int]:
    """Return from when (ms) to before when a query's flows were launched."""
    first, last = (
        round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
        for day in (query.first, query.last)
    )
    return first, last + DAY_MS


def flow_page(query: Query, flows: Sequence[FlowCost], next_path: str | None) -> dict[str, Any]:
    """Return a page of flows as JSON; `page_total` is what these cost together."""
    return {
        "from": query.first.isoformat(),
        "to": query.last.isoformat(),
        "group_by": list(query.group_by),
        "currency": "USD",
        "page_total": sums(reduce(add, (flow.usage for flow in flows), Usage())),
        "rows": [flow.public() for flow in flows],
        "next": next_path,
    }

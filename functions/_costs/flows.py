"""Costs by flow over HTTP: a page of flows that were launched in a range of days, newest first."""

from urllib.parse import urlencode

from starlette.requests import Request

from core import bootstrap
from core.costs.flow_costs import FlowCost, flow_page, launched_between
from core.costs.report import FLOW, Query
from core.costs.spreadsheets import flows_csv
from core.identity import Principal
from core.json_text import compact
from functions._http import apps, edge

PAGE, PAGE_LIMIT, LAST = 50, 200, 2**53


async def flow_report(
    request: Request, who: Principal, query: Query, form: str
) -> tuple[str, str | None]:
    """Return the page of a request as JSON or CSV, and the path of the next."""
    limit = apps.whole_number(request, "limit", 1, PAGE_LIMIT) or PAGE
    before = apps.whole_number(request, "before", 0, LAST)
    span = launched_between(query)
    flows = await bootstrap.spending_log().by_flow(who.tenant, *span, limit, before)
    following = _next(request, query, flows, limit, form)
    if form == "csv":
        return flows_csv(flows), following
    return compact(flow_page(query, flows, following)), following


def _next(
    request: Request, query: Query, flows: list[FlowCost], limit: int, form: str
) -> str | None:
    if len(flows) < limit:
        return None
    asked = {"from": query.first, "to": query.last, "group_by": FLOW, "limit": limit}
    asked |= {"format": form} if form == "csv" else {}
    return edge.link(request, f"/v1/costs?{urlencode(asked | {'before': flows[-1].order})}")

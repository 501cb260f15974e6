"""What could be saved, over HTTP: computed from what was recorded, by the prices of today."""

from datetime import UTC, datetime
from functools import partial
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap, cpu
from core.costs.report import Query, read_query
from core.costs.savings.report import savings
from core.costs.savings.spend import Record
from core.costs.tenant_prices import TenantPriceBook, TenantPrices
from core.crews import clock
from core.identity import Principal
from core.json_text import compact
from functions._costs import answers
from functions._http import apps

DAYS_AT_ONCE = 31  # that are read in one request: as many as a report by hour


async def report(request: Request, who: Principal) -> Response:
    """Answer with recommendations for a range of days, or with 304 if the caller has just these."""
    apps.refuse_unknown_parameters(request, "from", "to")
    now_ms = clock.now_ms()
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    query = read_query(request.query_params, today)
    agreed = await bootstrap.budget_book().prices(who.tenant)
    record = await recorded(who.tenant, query.days(today))
    text = await cpu.run(who.tenant, partial(_text, query, now_ms, agreed), record)
    return await answers.tagged(request, who, text, {"content-type": "application/json"})


async def recorded(tenant: str, days: list[str]) -> Record:
    """Return what is recorded of these days. Each day is a piece of work of its own (`core.cpu`)."""
    record = Record()
    for first in range(0, len(days), DAYS_AT_ONCE):
        some = days[first : first + DAYS_AT_ONCE]
        cells = await bootstrap.budget_book().spending(tenant, some)
        for _, of_day in groupby(cells, lambda cell: cell.day):
            record = await cpu.run(tenant, record.add, list(of_day))
    return record


def _text(query: Query, now_ms: int, agreed: TenantPrices, record: Record) -> str:
    prices = TenantPriceBook(bootstrap.prices(), agreed.prices)
    return compact(savings(query, record, prices, now_ms).public())

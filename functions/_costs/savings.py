"""What could be saved, over HTTP: computed from what was recorded, by the prices of today."""

from datetime import UTC, datetime
from functools import partial

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


async def report(request: Request, who: Principal) -> Response:
    """Answer with recommendations for a range of days, or with 304 if the caller has just these."""
    apps.refuse_unknown_parameters(request, "from", "to")
    now_ms = clock.now_ms()
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    query = read_query(request.query_params, today)
    agreed = await bootstrap.budget_book().prices(who.tenant)
    record = Record()
    days = query.days(today)
    async for _ in bootstrap.budget_book().spending_pieces(who.tenant, days, record.take):
        pass
    text = await cpu.run(who.tenant, partial(_text, query, now_ms, agreed), record)
    return await answers.tagged(request, who, text, {"content-type": "application/json"})


def _text(query: Query, now_ms: int, agreed: TenantPrices, record: Record) -> str:
    prices = TenantPriceBook(bootstrap.prices(), agreed.prices)
    return compact(savings(query, record, prices, now_ms).public())

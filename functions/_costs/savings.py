"""What could be saved, over HTTP: computed from what was recorded, by the prices of today."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap, cpu, time_of_day
from core.costs.report import read_query
from core.costs.savings.report import savings
from core.costs.savings.spend import Record
from core.costs.tenant_prices import TenantPriceBook
from core.identity import Principal
from core.json_text import compact
from functions._costs import answers
from functions._http import apps


async def report(request: Request, who: Principal) -> Response:
    """Answer with recommendations for a range of days, or with 304 if the caller has just these."""
    apps.refuse_unknown_parameters(request, "from", "to")
    now_ms = time_of_day.now_ms()
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    query = read_query(request.query_params, today)
    agreed = await bootstrap.agreed_prices().of(who.tenant)
    record = Record()
    days = query.days(today)
    async for _ in bootstrap.spending_log().pieces(who.tenant, days, record.take):
        pass
    prices = TenantPriceBook(bootstrap.prices(), agreed.prices)
    found = await savings(who.tenant, query, record, prices, now_ms)
    text = await cpu.run(who.tenant, compact, found.public())
    return await answers.tagged(request, who, text, {"content-type": "application/json"})

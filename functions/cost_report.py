"""GET /v1/costs -- what was spent: in a range of days, grouped by day, hour, model, crew and more.

The answer is JSON, or with `Accept: text/csv` or `?format=csv` a table, or with `?format=focus` a FOCUS
file. It is made of roll-ups, so it costs as much for a million calls as for a few.
"""

import asyncio
import hashlib
import time
from datetime import UTC, date, datetime

from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap
from core.costs import spreadsheets
from core.costs.report import Query, read_query, report
from core.costs.rollup import Cell
from core.errors import InvalidInputError
from core.identity import COSTS_READ, Principal
from core.json_text import compact
from functions import _app, _auth

FORMATS = ("json", "csv", "focus")
HEADERS = {"cache-control": "private, no-cache", "vary": "Authorization, Accept"}


async def cost_report(request: Request, who: Principal) -> Response:
    """Answer with the costs of a range of days, or with 304 if the caller has just these."""
    _app.refuse_unknown_parameters(request, "from", "to", "group_by", "format")
    now_ms = round(time.time() * 1000)
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    query, form = read_query(request.query_params, today), _format(request)
    if form == "focus":
        cells = await _cells(who, Query(query.first, query.last), today)
        return _answer(request, spreadsheets.focus_csv(who.tenant, cells), "text/csv")
    book = bootstrap.budgets()
    cells, before = await asyncio.gather(
        _cells(who, query, today), book.spending(who.tenant, query.days_before())
    )
    made = report(query, cells, before, now_ms)
    if form == "csv":
        return _answer(request, spreadsheets.report_csv(made), "text/csv")
    return _answer(request, compact(made.public()), "application/json")


async def _cells(who: Principal, query: Query, today: date) -> list[Cell]:
    days = query.days(today)
    return await bootstrap.budgets().spending(who.tenant, days, hours=query.by_hour)


def _format(request: Request) -> str:
    asked = request.query_params.get("format")
    if asked is None:
        return "csv" if request.headers.get("accept", "").startswith("text/csv") else "json"
    if asked not in FORMATS:
        raise InvalidInputError(
            "a parameter is wrong", {"/query/format": f"must be one of {FORMATS}"}
        )
    return asked


def _answer(request: Request, text: str, media_type: str) -> Response:
    """Return the text, or 304 to a caller who has it; its tag is its digest."""
    body = text.encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = HEADERS | {"etag": etag}
    known = request.headers.get("if-none-match", "")
    if etag in {tag.strip().removeprefix("W/") for tag in known.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


app = _app.starlette([_auth.GuardedRoute("/v1/costs", cost_report, _auth.scope(COSTS_READ))])
handler = _app.on_lambda(app)

"""GET /v1/costs -- what was spent: in a range of days, grouped by day, hour, model, crew and more.

POST /v1/usage -- counts model calls that were made elsewhere, each once by its id.
GET, PUT, DELETE /v1/budgets -- what may be spent, on what and in what time.
POST, GET, DELETE /v1/costs/savings/{id}/trial -- tries a cheaper model at a task.
GET, PUT, DELETE /v1/costs/models -- which model does a task, where that is not the deployment's.
GET, PUT, DELETE /v1/prices -- what a model costs the tenant, where that is not the list's price.

The answer is JSON, or with `Accept: text/csv` or `?format=csv` a table, or with `?format=focus` a FOCUS
file. It is made of roll-ups, so it costs as much for a million calls as for a few; with `group_by=flow`
it is a page of flows.
"""

import asyncio
import hashlib
from datetime import UTC, date, datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap, cpu
from core.costs import spreadsheets
from core.costs.report import FLOW, Query, read_query, report
from core.costs.rollup import Cell
from core.crews import clock
from core.errors import InvalidInputError
from core.identity import BUDGETS_WRITE, COSTS_READ, COSTS_WRITE, Principal
from core.json_text import compact
from functions._costs import budgets, flows, prices, trials, usage
from functions._http import apps, auth

FORMATS = ("json", "csv", "focus")
FORMAT_RULE = f"must be one of {', '.join(FORMATS)}"
HEADERS = {"cache-control": "private, no-cache", "vary": "Authorization, Accept"}


async def cost_report(request: Request, who: Principal) -> Response:
    """Answer with the costs of a range of days, or with 304 if the caller has just these."""
    by_flow = request.query_params.get("group_by") == FLOW
    page = ("limit", "before") if by_flow else ()
    apps.refuse_unknown_parameters(request, "from", "to", "group_by", "format", *page)
    now_ms = clock.now_ms()
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    query, form = read_query(request.query_params, today), _format(request)
    if form == "focus":
        cells = await _cells(who, Query(query.first, query.last), today)
        text = await cpu.run(who.tenant, partial(spreadsheets.focus_csv, who.tenant), cells)
    elif by_flow:
        text = await flows.flow_report(request, who, query, form)
    else:
        before = bootstrap.budget_book().spending(who.tenant, query.days_before())
        found = await asyncio.gather(_cells(who, query, today), before)
        text = await cpu.run(who.tenant, partial(_report_text, query, form, now_ms), found)
    return _answer(request, text, "application/json" if form == "json" else "text/csv")


def _report_text(query: Query, form: str, now_ms: int, found: tuple[list[Cell], list[Cell]]) -> str:
    """Return the report of the range's cells and those before it."""
    cells, before = found
    made = report(query, cells, before, now_ms)
    return spreadsheets.report_csv(made) if form == "csv" else compact(made.public())


async def _cells(who: Principal, query: Query, today: date) -> list[Cell]:
    days = query.days(today)
    return await bootstrap.budget_book().spending(who.tenant, days, hours=query.by_hour)


def _format(request: Request) -> str:
    asked = request.query_params.get("format")
    if asked is None:
        return "csv" if request.headers.get("accept", "").startswith("text/csv") else "json"
    if asked not in FORMATS:
        raise InvalidInputError("a parameter is wrong", {"/query/format": FORMAT_RULE})
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


TRIAL, MODEL = "/v1/costs/savings/{saving}/trial", "/v1/costs/models/{crew}/{task}"
_may_set = auth.scope(BUDGETS_WRITE)
routes = [
    auth.GuardedRoute("/v1/costs", cost_report, auth.scope(COSTS_READ)),
    auth.GuardedRoute("/v1/usage", usage.count, auth.scope(COSTS_WRITE), "POST"),
    auth.GuardedRoute("/v1/budgets", budgets.budget_list, auth.scope(COSTS_READ)),
    auth.GuardedRoute("/v1/budgets", budgets.zone_put, _may_set, "PUT"),
    auth.GuardedRoute("/v1/budgets/{budget}", budgets.budget_state, auth.scope(COSTS_READ)),
    auth.GuardedRoute("/v1/budgets/{budget}", budgets.budget_put, _may_set, "PUT"),
    auth.GuardedRoute("/v1/budgets/{budget}", budgets.budget_delete, _may_set, "DELETE"),
    auth.GuardedRoute("/v1/costs/trials", trials.trial_list, auth.scope(COSTS_READ)),
    auth.GuardedRoute(TRIAL, trials.trial_state, auth.scope(COSTS_READ)),
    auth.GuardedRoute(TRIAL, trials.trial_start, _may_set, "POST"),
    auth.GuardedRoute(TRIAL, trials.trial_stop, _may_set, "DELETE"),
    auth.GuardedRoute("/v1/costs/models", trials.model_list, auth.scope(COSTS_READ)),
    auth.GuardedRoute(MODEL, trials.model_put, _may_set, "PUT"),
    auth.GuardedRoute(MODEL, trials.model_delete, _may_set, "DELETE"),
    auth.GuardedRoute("/v1/prices", prices.price_list, auth.scope(COSTS_READ)),
    auth.GuardedRoute("/v1/prices/{model:path}", prices.price_state, auth.scope(COSTS_READ)),
    auth.GuardedRoute("/v1/prices/{model:path}", prices.price_put, _may_set, "PUT"),
    auth.GuardedRoute("/v1/prices/{model:path}", prices.price_delete, _may_set, "DELETE"),
]
app = apps.starlette(routes)
handler = apps.on_lambda(app)

"""GET /v1/costs -- what was spent: in a range of days, grouped by day, hour, model, crew and more.

GET /v1/costs/savings -- what could be changed so that the same calls cost less.
POST /v1/usage -- counts model calls that were made elsewhere, each once by its id.
GET, PUT, DELETE /v1/budgets -- what may be spent, on what and in what time.
POST, GET, DELETE /v1/costs/savings/{id}/trial -- tries a cheaper model at a task.
GET, PUT, DELETE /v1/costs/models -- which model does a task, where that is not the deployment's.
GET, PUT, DELETE /v1/prices -- what a model costs the tenant, where that is not the list's price.

The answer is JSON, or with `Accept: text/csv` or `?format=csv` a table, or with `?format=focus` a FOCUS
file: a page of it. It is made of roll-ups, so it costs as much for a million calls as for a few; with
`group_by=flow` it is made of flows.
"""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from core import time_of_day
from core.costs.report import FLOW, Query, read_query
from core.errors import InvalidInputError
from core.identity import BUDGETS_WRITE, COSTS_READ, COSTS_WRITE, Principal
from functions._costs import answers, budgets, flows, prices, reports, savings, trials, usage
from functions._http import accept, apps, auth

FORMATS = ("json", "csv", "focus")
FORMAT_RULE = f"must be one of {', '.join(FORMATS)}"


async def cost_report(request: Request, who: Principal) -> Response:
    """Answer with the costs of a range of days, or with 304 if the caller has just these."""
    by_flow = request.query_params.get("group_by") == FLOW
    page = ("limit", "before") if by_flow else ("limit", "after")
    apps.refuse_unknown_parameters(request, "from", "to", "group_by", "format", *page)
    now_ms = time_of_day.now_ms()
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    query, form = read_query(request.query_params, today), _format(request)
    if form == "focus":
        text, following = await reports.focus(request, who, query, today)
    elif by_flow:
        text, following = await flows.flow_report(request, who, query, form)
    else:
        text, following = await reports.report(request, who, query, form, now_ms)
    return await answers.tagged(request, who, text, _headers(query, form, following))


def _format(request: Request) -> str:
    asked = request.query_params.get("format")
    if asked is None:
        return "csv" if _likes_csv(request.headers.get("accept", "")) else "json"
    if asked not in FORMATS:
        raise InvalidInputError("a parameter is wrong", {"/query/format": FORMAT_RULE})
    return asked


def _likes_csv(field: str) -> bool:
    """Tell whether a table is named, and nothing is liked better or, as much, before it."""
    weights = accept.weights(field)
    best = max(weights, key=lambda name: (weights[name], "*" not in name), default="")
    return best == "text/csv" and weights[best] > 0


def _headers(query: Query, form: str, following: str | None) -> dict[str, str]:
    headers = {"link": f'<{following}>; rel="next"'} if following else {}
    if form == "json":
        return headers | {"content-type": "application/json"}
    name = f"{'focus' if form == 'focus' else 'costs'}-{query.first}-{query.last}.csv"
    return headers | {
        "content-type": "text/csv; charset=utf-8",
        "content-disposition": f'attachment; filename="{name}"',
    }


TRIAL, MODEL = "/v1/costs/savings/{saving}/trial", "/v1/costs/models/{crew}/{task}"
_may_set = auth.scope(BUDGETS_WRITE)
routes = [
    auth.GuardedRoute("/v1/costs", cost_report, auth.scope(COSTS_READ)),
    auth.GuardedRoute("/v1/costs/savings", savings.report, auth.scope(COSTS_READ)),
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
app = apps.starlette("cost_report", routes)
handler = apps.on_lambda(app)

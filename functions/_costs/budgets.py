"""Budgets over HTTP: what a tenant may spend, on what and in what time: read, set and removed."""

import re
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap, cpu, time_of_day
from core.costs.budget import ALERTS, EACH, Budget, Scope, TenantBudgets
from core.costs.model_names import counted_name
from core.costs.spreadsheets import NANO, usd
from core.costs.windows import Window, zone
from core.errors import InvalidInputError, NotFoundError, NothingThereError
from core.identity import Principal
from functions._costs import known_names
from functions._costs.changes import changed
from functions._http import apps, models

NO_BUDGET = "no such budget"
BODY_BYTES = 16 * 1024
MOST_DOLLARS = 9_000_000  # scripts count nano-dollars exactly up to there
MOST_ALERTS = 10
BUDGET_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


class BudgetBody(BaseModel):
    """The body of PUT /v1/budgets/{id}.

    `name` is which crew, agent, model, subject or flow; `*` stands for each by itself.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: Annotated[Scope, Field(strict=False)]  # a text, which strict models take for no enum
    window: Annotated[Window, Field(strict=False)]
    limit_usd: Annotated[str, Field(max_length=40)]
    name: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")] = EACH
    hard: bool = True
    alerts: Annotated[
        models.List[Annotated[int, Field(ge=1, le=100)]], Field(max_length=MOST_ALERTS)
    ] = list(ALERTS)
    webhook: Annotated[str | None, Field(max_length=2048)] = None

    def budget(self, budget_id: str) -> Budget:
        """Return the budget. Raises InvalidInputError."""
        scope, window = self.scope, self.window
        if scope is Scope.FLOW and window is not Window.FLOW:
            raise _invalid("/window", "must be flow for a budget of flows")
        if scope is Scope.TENANT and self.name != EACH:
            raise _invalid("/name", "a budget of the tenant has no name")
        limit = _nanodollars(self.limit_usd)
        alerts = tuple(sorted(set(self.alerts)))
        of = scope, window, limit, _account(scope, self.name), self.hard, alerts, self.webhook
        return Budget(budget_id, *of)


class ZoneBody(BaseModel):
    """The body of PUT /v1/budgets: where days and months begin."""

    model_config = ConfigDict(extra="forbid", strict=True)

    time_zone: Annotated[str, Field(max_length=64)]


async def budget_list(_: Request, who: Principal) -> Response:
    """Answer with all budgets, what they have spent in their present windows, and the time zone."""
    there = await bootstrap.budgets().all(who.tenant)
    body = {
        "time_zone": there.zone.name,
        "budgets": [_public(budget, there) for budget in there.budgets],
    }
    return JSONResponse(body, headers=apps.PRIVATE)


async def budget_state(request: Request, who: Principal) -> Response:
    """Answer with one budget; with `name` in the query, with what is spent under that name alone."""
    apps.refuse_unknown_parameters(request, "name")
    return await _budget(who, _budget_id(request), request.query_params.get("name"))


async def _budget(who: Principal, budget_id: str, name: str | None = None) -> Response:
    there = await bootstrap.budgets().all(who.tenant, budget_id, name)
    for budget in there.budgets:
        if name is not None and (counted := _account(budget.scope, name)) != name:
            return await _budget(who, budget_id, counted)
        return JSONResponse(_public(budget, there), headers=apps.PRIVATE)
    raise NothingThereError(NO_BUDGET)


async def budget_put(request: Request, who: Principal) -> Response:
    """Set a budget; what it has spent in the present window stays. Flows that wait for money go on."""
    budget_id = _budget_id(request)
    asked = await models.read(request, BODY_BYTES, BudgetBody, "the body is no budget")
    budget = asked.budget(budget_id)
    await known_names.check_name(who.tenant, budget)
    if budget.webhook is not None:
        bootstrap.webhook_targets().check(who.tenant, {"/webhook": budget.webhook})
    await changed(who, bootstrap.budgets().save(who.tenant, budget))
    return await _budget(who, budget_id)


async def budget_delete(request: Request, who: Principal) -> Response:
    """Remove a budget. Flows that wait for money go on."""
    try:
        await changed(who, bootstrap.budgets().delete(who.tenant, _budget_id(request)))
    except NotFoundError:
        raise NothingThereError(NO_BUDGET) from None
    return Response(status_code=204)


async def zone_put(request: Request, who: Principal) -> Response:
    """Set the time zone in which days and months begin."""
    asked = await models.read(request, BODY_BYTES, ZoneBody, "the body is no time zone")
    try:
        at_now = partial(zone, now_ms=time_of_day.now_ms())
        found = await cpu.run_long(at_now, asked.time_zone)  # ten years of clock changes
    except InvalidInputError as error:
        raise _invalid("/time_zone", "must be a name like Europe/Berlin") from error
    await changed(who, bootstrap.budgets().save_zone(who.tenant, found))
    return await budget_list(request, who)


def _account(scope: Scope, name: str) -> str:
    """Return the name that calls count under; that of a model may be written in several ways."""
    return counted_name(name) if scope is Scope.MODEL else name


def _budget_id(request: Request) -> str:
    budget_id: str = request.path_params["budget"]
    if not BUDGET_ID.fullmatch(budget_id):
        raise InvalidInputError(
            "this is no id of a budget", {"/budget": f"must match {BUDGET_ID.pattern}"}
        )
    return budget_id


def _public(budget: Budget, there: TenantBudgets) -> dict[str, Any]:
    return {
        "id": budget.id,
        "scope": budget.scope,
        "name": budget.name,
        "window": budget.window,
        "limit_usd": usd(budget.limit_nanodollars),
        "hard": budget.hard,
        "alerts": list(budget.alerts),
        "webhook": budget.webhook,
        "spent": [
            {
                "window": state.window,
                "name": state.name,
                "spent_usd": usd(state.spent_nanodollars),
                "held_usd": usd(state.held_nanodollars),
                "alerted_percent": state.alerted_percent
                if state.alerted_limit == budget.limit_nanodollars
                else 0,
            }
            for state in there.states
            if state.budget == budget.id
        ],
        "more": budget.id in there.cut,
    }


def _nanodollars(text: str) -> int:
    """Return dollars as nano-dollars. Raises InvalidInputError."""
    if not AMOUNT.fullmatch(text):
        raise _invalid("/limit_usd", 'must be an amount like "12.50", with nine decimals at most')
    amount = int(Decimal(text) * NANO)
    if amount > MOST_DOLLARS * NANO:
        raise _invalid("/limit_usd", f"must be from 0 to {MOST_DOLLARS:,}")
    return amount


def _invalid(pointer: str, why: str) -> InvalidInputError:
    return InvalidInputError("the body is no budget", {pointer: why})

"""Prices over HTTP: what a tenant agreed on with providers: read, set and removed, by model."""

from datetime import date
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap, time_of_day
from core.costs.model_names import split_name
from core.costs.price_lists import check_price
from core.costs.prices import rates_of
from core.costs.tenant_prices import ALWAYS, Price
from core.errors import InvalidInputError, NotFoundError, NothingThereError
from core.identity import Principal
from functions._costs.changes import changed
from functions._http import apps, bodies

NO_PRICE = "the tenant has no such price of this model"
BODY_BYTES = 16 * 1024


async def price_list(_: Request, who: Principal) -> Response:
    """Answer with all prices of the tenant."""
    agreed = await bootstrap.agreed_prices().of(who.tenant)
    prices = [_public(price) for price in agreed.prices]
    return JSONResponse({"prices": prices}, headers=apps.PRIVATE)


async def price_state(request: Request, who: Principal) -> Response:
    """Answer with the prices of one model, in order of the days from which they hold."""
    model = _model(request)
    agreed = await bootstrap.agreed_prices().of(who.tenant)
    prices = [_public(price) for price in agreed.prices if price.model == model]
    if not prices:
        raise NothingThereError(NO_PRICE)
    return JSONResponse({"prices": prices}, headers=apps.PRIVATE)


async def price_put(request: Request, who: Principal) -> Response:
    """Set what a model costs the tenant, from a day on; calls that are made from now on cost that."""
    body = await bodies.read_json(request, BODY_BYTES)
    if not isinstance(body, dict):
        raise InvalidInputError("this price cannot be taken", {"": "must be an object"})
    given = cast("dict[str, Any]", body)
    entry = {name: value for name, value in given.items() if name != "from"}
    since = _day(given.get("from"), "/from")
    model, entry = check_price(request.path_params["model"], entry)
    _require_known(entry)
    await changed(who, bootstrap.agreed_prices().save(who.tenant, Price(model, since, entry)))
    return await price_state(request, who)


async def price_delete(request: Request, who: Principal) -> Response:
    """Remove a model's prices, or with `from` the one that holds from that day on."""
    apps.refuse_unknown_parameters(request, "from")
    since = request.query_params.get("from")
    if since is not None:
        since = _day(since or None, "/query/from")
    try:
        await changed(who, bootstrap.agreed_prices().delete(who.tenant, _model(request), since))
    except NotFoundError:
        raise NothingThereError(NO_PRICE) from None
    return Response(status_code=204)


def _require_known(entry: dict[str, Any]) -> None:
    """Raise InvalidInputError for the same price as that of a model which no price list has."""
    other = entry.get("same_as")
    if other is not None and rates_of(bootstrap.prices(), other, time_of_day.now_ms()) is None:
        reason = "is a model that no price list has; give its price as input, output, ..."
        raise InvalidInputError("this price cannot be taken", {"/same_as": reason})


def _model(request: Request) -> str:
    return str(split_name(request.path_params["model"]))


def _day(given: Any, pointer: str) -> str:
    """Return a day as prices have it. Raises InvalidInputError."""
    if given is None:
        return ALWAYS
    try:
        day = date.fromisoformat(given) if isinstance(given, str) and len(given) == 10 else None  # noqa: PLR2004 -- YYYY-MM-DD
    except ValueError:
        day = None
    if day is None:
        raise InvalidInputError(
            "this price cannot be taken", {pointer: "must be a day, such as 2026-11-25"}
        )
    return day.isoformat()


def _public(price: Price) -> dict[str, Any]:
    return {"model": price.model, "from": price.since or None, **price.entry}

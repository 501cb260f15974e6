"""Which crews, agents and models a budget may be for: those that somebody knows.

A misspelt name would be a budget that never limits anything. Subjects and flows have no list to look in.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from core import bootstrap, cpu, time_of_day
from core.complaints import choice
from core.costs.budget import EACH, Budget, Scope
from core.costs.cells import Cell
from core.costs.prices import rates_of
from core.costs.rollup import NAMED, NAMELESS, NOBODY
from core.costs.tenant_prices import Price, TenantPriceBook
from core.errors import InvalidInputError

DAYS = 31  # in which a call counts as recent
NO_MODEL = "no price list has a model of this name, and none of your calls; {}if it is right, tell its price first (PUT /v1/prices)"

_LISTED = (Scope.CREW, Scope.AGENT, Scope.MODEL)


async def check_name(tenant: str, budget: Budget) -> None:
    """Raise InvalidInputError, with the name that may have been meant, if the budget's is not known.

    A budget that is there may be changed, also when its crew is gone.
    """
    if budget.scope not in _LISTED or budget.name == EACH:
        return
    why = await (_model if budget.scope is Scope.MODEL else _crew_or_agent)(tenant, budget)
    if why is not None and not await _is_there(tenant, budget):
        raise InvalidInputError("the body is no budget", {"/name": why})


async def _is_there(tenant: str, budget: Budget) -> bool:
    there = (await bootstrap.budgets().all(tenant, budget.id)).budgets
    return (budget.scope, budget.name) in {(each.scope, each.name) for each in there}


async def _crew_or_agent(tenant: str, budget: Budget) -> str | None:
    """Return why a name is wrong: it is none of this deployment, and none that calls were counted under."""
    known = await asyncio.to_thread(_deployed, budget.scope)
    if budget.name not in known:
        known |= await _recorded(tenant, budget.scope)
    if budget.name in known:
        return None
    return f"there is no {budget.scope} of this name; {choice(budget.name, sorted(known))}"


def _deployed(scope: Scope) -> set[str]:
    """Return the names of this deployment; of a crew whose file is wrong, its own."""
    registry = bootstrap.registry()
    if scope is Scope.CREW:
        return set(registry.names())
    crews, _ = registry.read_all()
    return {agent for crew in crews for agent in crew.agents}


async def _model(tenant: str, budget: Budget) -> str | None:
    """Return why a model's name is wrong; one that was never used is right where it has a price."""
    known, name = bootstrap.model_names(), budget.name
    if name in known:
        return None
    agreed = (await bootstrap.agreed_prices().of(tenant)).prices
    if await cpu.run(tenant, _has_price, (agreed, name)):
        return None
    known |= await _recorded(tenant, budget.scope)
    if name in known:
        return None
    meant = await cpu.run_long(_meant, (agreed, name, known))
    return NO_MODEL.format(f"did you mean {meant}? " if meant else "")


def _has_price(asked: tuple[Sequence[Price], str]) -> bool:
    agreed, name = asked
    return (
        rates_of(TenantPriceBook(bootstrap.prices(), agreed), name, time_of_day.now_ms())
        is not None
    )


def _meant(asked: tuple[Sequence[Price], str, set[str]]) -> str | None:
    """Return the known name that is most like this one; of its provider, if that has models."""
    from difflib import get_close_matches  # noqa: PLC0415 -- takes 5 ms of a cold start

    agreed, name, known = asked
    there = {*known, *TenantPriceBook(bootstrap.prices(), agreed).models()}
    provider = name.partition("/")[0] + "/"
    of_provider = [each for each in there if each.startswith(provider)]
    close = get_close_matches(name, of_provider or there, 1)
    return close[0] if close else None


async def _recorded(tenant: str, scope: Scope) -> set[str]:
    """Return the names of recent calls, such as those of `POST /v1/usage`."""
    today = datetime.fromtimestamp(time_of_day.now_ms() / 1000, UTC).date()
    days = [(today - timedelta(days=n)).isoformat() for n in range(DAYS)]
    names_of = partial(_names, NAMED.index(scope))
    found = set[str]()
    async for names in bootstrap.spending_log().pieces(tenant, days, names_of):
        found |= names
    return found - {NOBODY, *NAMELESS}


def _names(place: int, cells: Sequence[Cell]) -> set[str]:
    return {cell.names[place] for cell in cells}

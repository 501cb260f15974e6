"""Which crews and agents a budget may be for: those of this deployment, and those that calls were counted under."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from core import bootstrap, time_of_day
from core.complaints import choice
from core.costs.budget import EACH, Budget, Scope
from core.costs.rollup import NAMELESS, NOBODY, Cell
from core.errors import InvalidInputError

DAYS = 31  # in which a call counts as recent

_NAME: dict[Scope, Callable[[Cell], str]] = {
    Scope.CREW: lambda cell: cell.crew,
    Scope.AGENT: lambda cell: cell.agent,
}


async def check_name(tenant: str, budget: Budget) -> None:
    """Raise InvalidInputError with the names that are known if the budget's is none of them.

    A misspelt name would be a budget that never limits anything. Models, subjects and flows have no
    list to look in.
    """
    if budget.scope not in _NAME or budget.name == EACH:
        return
    known = await asyncio.to_thread(_deployed, budget.scope)
    if budget.name not in known:
        known |= await _recorded(tenant, budget.scope)
    if budget.name not in known:
        what = f"there is no {budget.scope} of this name; {choice(budget.name, sorted(known))}"
        raise InvalidInputError("the body is no budget", {"/name": what})


def _deployed(scope: Scope) -> set[str]:
    """Return the names of this deployment; of a crew whose file is wrong, its own."""
    registry = bootstrap.registry()
    if scope is Scope.CREW:
        return set(registry.names())
    crews, _ = registry.read_all()
    return {agent for crew in crews for agent in crew.agents}


async def _recorded(tenant: str, scope: Scope) -> set[str]:
    """Return the names of recent calls, such as those of `POST /v1/usage`."""
    today = datetime.fromtimestamp(time_of_day.now_ms() / 1000, UTC).date()
    days = [(today - timedelta(days=n)).isoformat() for n in range(DAYS)]
    cells = await bootstrap.budget_book().spending(tenant, days)
    return {_NAME[scope](cell) for cell in cells} - {NOBODY, *NAMELESS}

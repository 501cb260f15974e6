"""What a tenant agreed on with providers, and that no call is reserved by older prices."""

from dataclasses import replace

import pytest

from core.costs.budget import Verdict
from core.costs.tenant_prices import ALWAYS, MOST_PRICES, Price, TenantPrices
from core.errors import ConflictError, NotFoundError
from core.flows import Status
from core.time_of_day import now_ms
from tests.contract.budget_parts import a_budget, limited, says
from tests.contract.test_call_ledger import begun, call
from tests.fixtures_ports import Flows, due, in_turns

OURS = Price("openai/gpt-4o", ALWAYS, {"input": "2.1", "output": 8})
LATER = Price("openai/gpt-4o", "2026-12-01", {"input": 2, "output": 7.5})
NAMED = Price("azure/ours|eu", ALWAYS, {"same_as": "azure/gpt-4o"})


async def test_prices_are_kept_as_they_were_given_and_have_a_version(flows: Flows):
    assert await flows.prices.of(flows.tenant) == TenantPrices()
    for price in (LATER, OURS, NAMED, OURS):
        await flows.prices.save(flows.tenant, price)
    assert await flows.prices.of(flows.tenant) == TenantPrices(4, (NAMED, OURS, LATER))
    assert await flows.prices.of("somebody-else") == TenantPrices()
    assert (await flows.budgets.all(flows.tenant)).budgets == ()


async def test_a_model_loses_the_price_of_a_day_or_all_of_them(flows: Flows):
    for price in (LATER, OURS, NAMED):
        await flows.prices.save(flows.tenant, price)
    await flows.prices.delete(flows.tenant, OURS.model, ALWAYS)
    assert (await flows.prices.of(flows.tenant)).prices == (NAMED, LATER)
    await flows.prices.delete(flows.tenant, LATER.model)
    assert (await flows.prices.of(flows.tenant)).prices == (NAMED,)
    for since in (None, ALWAYS):
        with pytest.raises(NotFoundError):
            await flows.prices.delete(flows.tenant, LATER.model, since)


async def test_a_tenant_has_a_bounded_number_of_prices(flows: Flows):
    prices = [Price(f"m{n}", ALWAYS, {"input": n}) for n in range(MOST_PRICES)]
    await in_turns([flows.prices.save(flows.tenant, price) for price in prices])
    with pytest.raises(ConflictError):
        await flows.prices.save(flows.tenant, OURS)
    await flows.prices.save(flows.tenant, Price("m0", ALWAYS, {"input": 1}))


@pytest.mark.parametrize("limited_by", [[], [a_budget(1)]])
async def test_a_call_that_is_priced_by_older_prices_is_not_reserved(flows: Flows, limited_by):
    claim = await limited(flows, *limited_by)
    await flows.prices.save(flows.tenant, OURS)
    refusal = await flows.calls.reserve(call(claim, 1))
    assert refusal is not None
    assert (refusal.verdict, refusal.prices) == (Verdict.REPRICED, TenantPrices(1, (OURS,)))
    assert await says(flows, replace(call(claim, 2), prices_version=1)) is None
    await flows.prices.delete(flows.tenant, OURS.model)
    assert await says(flows, replace(call(claim, 3), prices_version=1)) is Verdict.REPRICED


async def test_a_call_that_was_reserved_is_not_refused_when_it_is_sent_again(flows: Flows):
    claim = await begun(flows)
    assert await says(flows, call(claim, 1)) is None
    await flows.prices.save(flows.tenant, OURS)
    assert await says(flows, call(claim, 1)) is None


async def test_what_waits_for_money_is_looked_at_when_a_price_changes(flows: Flows):
    await limited(flows, a_budget(0))
    waiting = {"reason": "budget", "budget": "b", "until_ms": now_ms() + 600_000}
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=0, events=[], waiting=waiting
    )
    assert await due(flows) == []
    await flows.prices.save(flows.tenant, OURS)
    assert await due(flows) == ["f1"]

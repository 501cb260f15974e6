"""Spreadsheets: a report as CSV, and as a FOCUS 1.0 file, which tools for cloud costs read.

FOCUS (https://focus.finops.org/focus-specification/v1-0/) wants a row for each charge. Here that is what
one crew's task, agent and subject spent on one model, in one variant, in a day. The roll-up knows what
that cost, but not what each kind of token did: so a unit price is the average of the row's tokens.

A variant (batch, flex, ...) has prices of its own, which its maker publishes as it does the standard ones. So it
is another price of the same SKU (`SkuPriceId`), and its pricing category is `Standard` as well: FOCUS' word
for rates that are known beforehand. `Dynamic` would be one that the provider changes at will, `Committed`
one that was bought with a commitment.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal

from core.costs.flow_costs import FlowCost
from core.costs.model_names import split_name
from core.costs.price_lists import VARIANTS
from core.costs.report import Query, Row, sums
from core.costs.rollup import NOBODY
from core.costs.usage import Usage

NANO = 10**9
STANDARD = VARIANTS[0]
FOCUS_COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
    "ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountCategory", "CommitmentDiscountId",
    "CommitmentDiscountName", "CommitmentDiscountStatus", "CommitmentDiscountType",
    "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
    "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity",
    "PricingUnit", "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId",
    "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "SkuId", "SkuPriceId",
    "SubAccountId", "SubAccountName", "Tags",
    "x_Variant", "x_Calls", "x_UnpricedCalls", "x_SureCost",
)  # fmt: skip
FOCUS_BY = ("day", "crew", "task", "agent", "subject", "model", "variant")  # a charge
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet would begin to reckon


def report_head(query: Query) -> str:
    """Return the head of a report's table: a column for each name, each sum, and the cost in USD."""
    return _csv([[*query.group_by, *_sums(Usage())]])


def report_lines(rows: Sequence[Row]) -> str:
    """Return rows as lines under it."""
    lines = ([*map(_as_text, row.names), *_sums(row.usage).values()] for row in rows)
    return _csv(lines)


def flows_csv(flows: Sequence[FlowCost]) -> str:
    """Return what flows cost: a line for each, as `report_csv` has them."""
    lines = [["flow", "crew", "subject", "launched", *_sums(Usage())]]
    for flow in flows:
        body = flow.public()
        names = [_as_text(str(body[name])) for name in ("flow", "crew", "subject", "launched")]
        lines.append([*names, *_sums(flow.usage).values()])
    return _csv(lines)


def _sums(usage: Usage) -> dict[str, str]:
    texts = {name: str(value) for name, value in sums(usage).items()}
    return texts | {"cost_usd": usd(usage.cost_nanodollars)}


def focus_head() -> str:
    """Return the head of a FOCUS file."""
    return _csv([FOCUS_COLUMNS])


def focus_lines(tenant: str, rows: Iterable[Row]) -> str:
    """Return rows by FOCUS_BY as lines. What cost nothing real (demonstrations) is left out."""
    real = (row for row in rows if row.usage.calls > row.usage.demo_calls)
    return _csv(_focus_row(tenant, row) for row in real)


def usd(nanodollars: int) -> str:
    """Return nano-dollars as dollars, exactly: 2500000 is `0.0025`."""
    sign, (whole, part) = "-" * (nanodollars < 0), divmod(abs(nanodollars), NANO)
    return f"{sign}{whole}.{part:09}".rstrip("0").rstrip(".")


def _focus_row(tenant: str, row: Row) -> list[str]:
    (day_text, *_, subject, full_name, variant), usage = row.names, row.usage
    day = date.fromisoformat(day_text)
    month = day.replace(day=1)
    cost, tokens = usd(usage.cost_nanodollars), usage.input_tokens + usage.output_tokens
    provider, model = _served(full_name)
    charge = {
        "BilledCost": cost,
        "BillingAccountId": tenant,
        "BillingCurrency": "USD",
        "BillingPeriodStart": _midnight(month),
        "BillingPeriodEnd": _midnight((month + timedelta(days=31)).replace(day=1)),
        "ChargeCategory": "Usage",
        "ChargeDescription": _description(usage, variant),
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _midnight(day),
        "ChargePeriodEnd": _midnight(day + timedelta(days=1)),
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "PricingCategory": "Standard",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": model,
        "SkuId": full_name,
        "SkuPriceId": full_name if variant == STANDARD else f"{full_name}:{variant}",
        "SubAccountId": subject,
        "Tags": json.dumps(dict(zip(FOCUS_BY[1:5], row.names[1:5], strict=True)), sort_keys=True),
        "x_Variant": variant,
        "x_Calls": str(usage.calls),
        "x_UnpricedCalls": str(usage.unpriced_calls),
        "x_SureCost": usd(sums(usage)["sure_nanodollars"]),
    }
    charge |= dict.fromkeys(("ConsumedQuantity", "PricingQuantity"), str(tokens))
    charge |= dict.fromkeys(("ConsumedUnit", "PricingUnit"), "Tokens")
    charge |= dict.fromkeys(("ContractedUnitPrice", "ListUnitPrice"), _each(usage, tokens))
    charge |= dict.fromkeys(("InvoiceIssuerName", "ProviderName", "PublisherName"), provider)
    return [_as_text(charge.get(column, "")) for column in FOCUS_COLUMNS]


def _served(full_name: str) -> tuple[str, str]:
    """Return who serves a model, and its name there."""
    name = split_name(full_name)
    before, _, model = full_name.rpartition("/")
    return name.provider or before.partition("/")[0] or "unknown", name.model or model


def _each(usage: Usage, tokens: int) -> str:
    """Return what a token costs on average, in USD."""
    if not tokens:
        return "0"
    return f"{(Decimal(usage.cost_nanodollars) / NANO / tokens).normalize():f}"


def _description(usage: Usage, variant: str) -> str:
    notes = [f"{usage.calls} model calls{'' if variant == STANDARD else f' as {variant}'}"]
    notes += [f"{usage.unpriced_calls} of unknown price, not in the cost"] * bool(
        usage.unpriced_calls
    )
    notes += [f"{usage.lost_calls} at their upper bound"] * bool(usage.lost_calls)
    return "; ".join(notes)


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _as_text(cell: str) -> str:
    """Keep a name from being taken for a formula (OWASP, CSV injection)."""
    is_harmless = cell == NOBODY or _is_number(cell)
    return f"'{cell}" if cell.startswith(_FORMULA) and not is_harmless else cell


def _is_number(cell: str) -> bool:
    return cell.removeprefix("-").replace(".", "", 1).isdecimal()


def _csv(lines: Iterable[Sequence[str]]) -> str:
    """Return lines as RFC 4180 has them."""
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()

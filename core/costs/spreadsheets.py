"""Spreadsheets: a report as CSV, and cells as a FOCUS 1.0 file, which tools for cloud costs read.

FOCUS (https://focus.finops.org/focus-specification/v1-0/) wants a row for each charge. Here that is a
cell of a day: what one crew's task, agent and subject spent on one model. The roll-up knows its price
but not what each kind of token cost, so there are no unit prices.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from core.costs.flow_costs import FlowCost
from core.costs.report import Report
from core.costs.rollup import Cell
from core.costs.usage import Usage

NANO = 10**9
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
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet would begin to reckon


def report_csv(report: Report) -> str:
    """Return a report's rows: a column for each name, each sum, and the cost in USD."""
    sums = list(report.total.public())
    lines = [[*report.query.group_by, *sums, "cost_usd"]]
    for row in report.rows:
        numbers = [str(number) for number in row.usage.public().values()]
        names = [_as_text(name) for name in row.names]
        lines.append([*names, *numbers, usd(row.usage.cost_nanodollars)])
    return _csv(lines)


def flows_csv(flows: Sequence[FlowCost]) -> str:
    """Return what flows cost: a line for each, as `report_csv` has them."""
    lines = [["flow", "crew", "subject", "launched", *Usage().public(), "cost_usd"]]
    for flow in flows:
        told = flow.public()
        names = [_as_text(str(told[name])) for name in ("flow", "crew", "subject", "launched")]
        numbers = [str(number) for number in flow.usage.public().values()]
        lines.append([*names, *numbers, usd(flow.usage.cost_nanodollars)])
    return _csv(lines)


def focus_csv(tenant: str, cells: Iterable[Cell]) -> str:
    """Return cells of days as FOCUS 1.0 rows. What cost nothing real (demonstrations) is left out."""
    real = (cell for cell in cells if cell.usage.calls > cell.usage.demo_calls)
    return _csv([list(FOCUS_COLUMNS), *(_focus_row(tenant, cell) for cell in real)])


def usd(nanodollars: int) -> str:
    """Return nano-dollars as dollars, exactly: 2500000 is `0.0025`."""
    sign, (whole, part) = "-" * (nanodollars < 0), divmod(abs(nanodollars), NANO)
    return f"{sign}{whole}.{part:09}".rstrip("0").rstrip(".")


def _focus_row(tenant: str, cell: Cell) -> list[str]:
    day, usage = date.fromisoformat(cell.day), cell.usage
    month = day.replace(day=1)
    cost = usd(usage.cost_nanodollars)
    provider, _, model = cell.model.rpartition("/")
    told = {
        "BilledCost": cost,
        "BillingAccountId": tenant,
        "BillingCurrency": "USD",
        "BillingPeriodStart": _midnight(month),
        "BillingPeriodEnd": _midnight((month + timedelta(days=31)).replace(day=1)),
        "ChargeCategory": "Usage",
        "ChargeDescription": _description(cell),
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _midnight(day),
        "ChargePeriodEnd": _midnight(day + timedelta(days=1)),
        "ConsumedQuantity": str(usage.input_tokens + usage.output_tokens),
        "ConsumedUnit": "Tokens",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "PricingCategory": "Standard",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": model,
        "SkuId": cell.model,
        "SubAccountId": cell.subject,
        "Tags": json.dumps(_tags(cell), sort_keys=True),
    }
    issuer = provider.partition("/")[0] or "unknown"
    told |= dict.fromkeys(("InvoiceIssuerName", "ProviderName", "PublisherName"), issuer)
    return [_as_text(told.get(column, "")) for column in FOCUS_COLUMNS]


def _description(cell: Cell) -> str:
    usage = cell.usage
    notes = [f"{usage.calls} model calls"]
    notes += [f"{usage.unpriced_calls} of unknown price, not in the cost"] * bool(
        usage.unpriced_calls
    )
    notes += [f"{usage.lost_calls} at their upper bound"] * bool(usage.lost_calls)
    return "; ".join(notes)


def _tags(cell: Cell) -> dict[str, Any]:
    return {"crew": cell.crew, "task": cell.task, "agent": cell.agent, "subject": cell.subject}


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _as_text(cell: str) -> str:
    """Keep a name from being taken for a formula (OWASP, CSV injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    return cell.removeprefix("-").replace(".", "", 1).isdecimal()


def _csv(lines: Sequence[Sequence[str]]) -> str:
    """Return lines as RFC 4180 has them."""
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()

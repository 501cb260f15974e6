"""A FOCUS file: a row for each charge, as the specification wants it."""

import csv
import io
import json
from datetime import date

import pytest

from core.costs.cells import SUMS, Cell, by_variant
from core.costs.facts import added, of_variant
from core.costs.report import Row
from core.costs.spreadsheets import FOCUS_BY, FOCUS_COLUMNS, focus_head, focus_lines
from core.costs.tally import Rows
from core.costs.usage import Usage
from tests.unit.test_report import DOLLAR, TODAY, cell


def focus(*cells: Cell) -> list[dict[str, str]]:
    rows = Rows(FOCUS_BY, 10)
    rows.take(by_variant(cells))
    text = focus_head() + focus_lines("acme", [Row(*row) for row in rows.in_order()])
    return list(csv.DictReader(io.StringIO(text)))


def test_a_focus_file_has_a_row_for_each_cell_with_all_columns():
    (row,) = focus(
        cell(date(2026, 12, 31), usage=Usage(3, 10, 5, DOLLAR, unpriced_calls=1)),
        cell(TODAY, usage=Usage(1, 10, 5, 3, demo_calls=1)),
    )
    assert tuple(row) == FOCUS_COLUMNS
    assert row["BilledCost"] == row["EffectiveCost"] == "1"
    assert row["BillingPeriodEnd"] == row["ChargePeriodEnd"] == "2027-01-01T00:00:00Z"
    assert (row["ProviderName"], row["ServiceName"]) == ("openai", "gpt-4o")
    assert "1 of unknown price, not in the cost" in row["ChargeDescription"]
    assert row["x_UnpricedCalls"] == "1"
    assert json.loads(row["Tags"])["crew"] == "brief"


def test_each_variant_of_a_model_is_a_price_of_its_own_of_the_same_sku():
    batch, flex = Usage(2, 2_000, 100, 3 * DOLLAR), Usage(1, 10, 5, DOLLAR, lost_calls=1)
    both = added(of_variant("batch", batch), of_variant("flex", flex))
    rest = Usage(1, 500, 50, 7 * DOLLAR)
    mixed = cell(TODAY, usage=rest + batch + flex)
    sums = dict(zip(SUMS, mixed.sums, strict=True))
    rows = focus(mixed._replace(stored={**sums, **both}), cell(TODAY, crew="other", usage=batch))
    told = {row["SkuPriceId"]: row for row in rows if '"brief"' in row["Tags"]}
    assert {name: row["BilledCost"] for name, row in told.items()} == {
        "openai/gpt-4o": "7",
        "openai/gpt-4o:batch": "3",
        "openai/gpt-4o:flex": "1",
    }
    assert told["openai/gpt-4o:batch"]["ChargeDescription"] == "2 model calls as batch"
    assert {row["x_Variant"] for row in rows} == {"standard", "batch", "flex"}
    for row in rows:
        follows_focus(row)
    assert (rows[0]["x_Calls"], len(rows)) == ("2", 4)


# Of FOCUS 1.0, for rows of usage that correct nothing.
NEVER_NULL = """BilledCost BillingAccountId BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory
ChargeFrequency ChargePeriodEnd ChargePeriodStart ContractedCost ContractedUnitPrice EffectiveCost
InvoiceIssuerName ListCost ListUnitPrice PricingCategory PricingQuantity PricingUnit ProviderName
PublisherName ServiceCategory ServiceName SkuId SkuPriceId"""


@pytest.mark.parametrize(
    "usage", [Usage(1, 1_500_000, 500_000, 5 * DOLLAR), Usage(1, lost_calls=1)]
)
def test_no_column_is_empty_that_focus_wants_filled(usage: Usage):
    (row,) = focus(cell(TODAY, usage=usage))
    follows_focus(row)


def follows_focus(row: dict[str, str]) -> None:
    """Assert what the specification says MUST be so.

    https://focus.finops.org/focus-specification/v1-0/#pricingcategory: `Standard` where a rate is agreed on
    beforehand, `Committed` with a commitment discount alone. #skupriceid: has one parent SkuId, and is empty in
    no row of usage. #listunitprice: times the quantity it is the cost.
    """
    assert [name for name in NEVER_NULL.split() if not row[name]] == []
    assert (row["PricingCategory"], row["CommitmentDiscountId"]) == ("Standard", "")
    assert row["SkuPriceId"].partition(":")[0] == row["SkuId"]
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        assert float(row[price]) * float(row["PricingQuantity"]) == pytest.approx(float(row[cost]))


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-4o", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("openai/gpt-4o", "openai"),
        (
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5",
            "aws",
        ),
        ("our-gateway/llama", "our-gateway"),
        ("llama-of-ours", "unknown"),
    ],
)
def test_a_model_has_one_provider_however_it_is_written(model: str, provider: str):
    (row,) = focus(cell(TODAY, model=model))
    assert row["ProviderName"] == row["PublisherName"] == row["InvoiceIssuerName"] == provider

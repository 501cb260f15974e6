"""Reports are made of cells: sums by any of their names, what is unusual, and what is to come."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.costs.report import DIMENSIONS, Query, grouped, read_query, report
from core.costs.rollup import Cell
from core.costs.spreadsheets import FOCUS_COLUMNS, focus_csv, report_csv, usd
from core.costs.usage import Usage
from core.errors import InvalidInputError

DOLLAR = 10**9
TODAY = date(2026, 11, 20)
NOON_MS = round(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)
NOVEMBER = Query(date(2026, 11, 1), date(2026, 11, 30), ("crew",))


def cell(day: date, cost: int = DOLLAR, crew: str = "brief", **changes: Any) -> Cell:
    names = {"task": "write", "agent": "writer", "subject": "ann", "model": "openai/gpt-4o"}
    usage = changes.pop("usage", Usage(1, 1_000, 100, cost))
    return Cell(day.isoformat(), changes.pop("hour", None), crew, **names | changes, usage=usage)


def days(count: int, before: date = TODAY) -> list[date]:
    return [before - timedelta(days=n) for n in range(count, 0, -1)]


NAMES = st.sampled_from(["a", "b", "~"])
CELLS = st.builds(
    Cell,
    st.sampled_from(["2026-11-01", "2026-11-02"]),
    st.integers(0, 23),
    NAMES,
    NAMES,
    NAMES,
    NAMES,
    NAMES,
    st.builds(Usage, st.integers(0, 9), cost_nanodollars=st.integers(0, 2**60)),
)


@given(st.lists(CELLS), st.lists(st.sampled_from(list(DIMENSIONS)), unique=True))
def test_however_it_is_grouped_the_sum_is_the_same(cells: list[Cell], group_by: list[str]):
    rows = grouped(cells, tuple(group_by))
    assert sum(row.usage.cost_nanodollars for row in rows) == sum(
        cell.usage.cost_nanodollars for cell in cells
    )
    assert [row.names for row in rows] == sorted({row.names for row in rows})


def test_a_report_tells_sums_by_name_and_what_is_sure_of_them():
    lost = Usage(2, 10, 10, 4 * DOLLAR, lost_calls=1, lost_nanodollars=DOLLAR)
    cells = [cell(TODAY), cell(TODAY, crew="map", usage=lost)]
    told = report(NOVEMBER, cells, [], NOON_MS).public()
    assert [(row["crew"], row["cost_nanodollars"]) for row in told["rows"]] == [
        ("brief", DOLLAR),
        ("map", 4 * DOLLAR),
    ]
    assert told["total"]["calls"] == 3
    assert told["total"]["sure_nanodollars"] == 4 * DOLLAR
    assert told["total"]["estimated_share"] == 0.2


def test_a_month_that_is_not_over_is_foretold():
    cells = [cell(day) for day in days(19)]
    told = report(NOVEMBER, cells, [], NOON_MS).public()["forecast"]
    assert told["low_nanodollars"] <= told["cost_nanodollars"] <= told["high_nanodollars"]
    assert told["cost_nanodollars"] == pytest.approx(
        29.5 * DOLLAR, rel=0.01
    )  # half of today is over
    over = Query(date(2026, 11, 1), date(2026, 11, 10))
    assert report(over, cells, [], NOON_MS).forecast is None


def test_an_unusual_day_is_told_with_what_grew_most_and_by_what_was_usual_before_the_range():
    before = [cell(day) for day in days(28, date(2026, 11, 1))]
    dear = cell(date(2026, 11, 2), 9 * DOLLAR, subject="bob")
    (found,) = report(
        NOVEMBER, [cell(dear_day := date(2026, 11, 2)), dear], before, NOON_MS
    ).public()["unusual_days"]
    assert found["day"] == dear_day.isoformat()
    assert found["usual_nanodollars"] == DOLLAR
    assert found["grew_most"] == {
        "subject": "bob",
        "cost_nanodollars": 9 * DOLLAR,
        "usual_nanodollars": 0,
    }


def test_without_parameters_the_month_of_today_is_reported():
    assert read_query({}, TODAY) == Query(date(2026, 11, 1), date(2026, 11, 30))
    asked = {"from": "2026-10-05", "group_by": "day,model"}
    assert read_query(asked, TODAY) == Query(
        date(2026, 10, 5), date(2026, 11, 30), ("day", "model")
    )


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"from": "yesterday"}, "/query/from"),
        ({"from": "2026-02-30"}, "/query/from"),
        ({"from": "2026-11-21"}, "/query/from"),
        ({"from": "9999-12-31"}, "/query/from"),
        ({"from": "0001-01-01"}, "/query/from"),
        ({"from": "2025-01-01"}, "/query/from"),
        ({"to": "0001-01-01"}, "/query/to"),
        ({"to": "9999-12-31"}, "/query/to"),
        ({"from": "2026-11-05", "to": "2026-11-04"}, "/query/to"),
        ({"from": "2026-09-01", "group_by": "hour"}, "/query/to"),
        ({"group_by": "colour"}, "/query/group_by"),
        ({"group_by": "day,day"}, "/query/group_by"),
        ({"group_by": "x" * 10_000}, "/query/group_by"),
    ],
)
def test_what_cannot_be_reported_is_refused_by_name(asked: dict[str, str], pointer: str):
    with pytest.raises(InvalidInputError) as refused:
        read_query(asked, TODAY)
    assert list(refused.value.pointers) == [pointer]


def test_a_table_has_a_column_for_each_name_and_sum_and_names_are_no_formulas():
    query = Query(TODAY, TODAY, ("model",))
    cells = [cell(TODAY, 2_500_000, model='=HYPERLINK("http://x")')]
    (row,) = csv.DictReader(io.StringIO(report_csv(report(query, cells, [], NOON_MS))))
    assert row["model"] == '\'=HYPERLINK("http://x")'
    assert (row["input_tokens"], row["cost_usd"]) == ("1000", "0.0025")


def test_a_focus_file_has_a_row_for_each_cell_with_all_columns():
    cells = [
        cell(date(2026, 12, 31), usage=Usage(3, 10, 5, DOLLAR, unpriced_calls=1)),
        cell(TODAY, usage=Usage(1, 10, 5, 3, demo_calls=1)),
    ]
    (row,) = csv.DictReader(io.StringIO(focus_csv("acme", cells)))
    assert tuple(row) == FOCUS_COLUMNS
    assert row["BilledCost"] == row["EffectiveCost"] == "1"
    assert row["BillingPeriodEnd"] == row["ChargePeriodEnd"] == "2027-01-01T00:00:00Z"
    assert (row["ProviderName"], row["ServiceName"]) == ("openai", "gpt-4o")
    assert "1 of unknown price, not in the cost" in row["ChargeDescription"]
    assert json.loads(row["Tags"])["crew"] == "brief"


@given(st.integers(-(2**60), 2**60))
def test_dollars_are_exact(nanodollars: int):
    whole, _, part = usd(nanodollars).lstrip("-").partition(".")
    value = int(whole) * DOLLAR + int(part.ljust(9, "0"))
    assert (-value if nanodollars < 0 else value) == nanodollars

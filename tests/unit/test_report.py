"""Reports are made of cells: sums by any of their names, what is unusual, and what is to come."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.costs.cells import Cell
from core.costs.report import Page, Query, Report, Tally, read_page, read_query, rows_text
from core.costs.spreadsheets import (
    report_head,
    report_lines,
    usd,
)
from core.costs.tally import DIMENSIONS, Rows
from core.costs.usage import Usage
from core.errors import InvalidInputError

DOLLAR = 10**9
TODAY = date(2026, 11, 20)
NOON_MS = round(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp() * 1000)
NOVEMBER = Query(date(2026, 11, 1), date(2026, 11, 30), ("crew",))


def cell(day: date, cost: int = DOLLAR, crew: str = "brief", **changes: Any) -> Cell:
    named = {"task": "write", "agent": "writer", "subject": "ann", "model": "openai/gpt-4o"}
    usage = changes.pop("usage", Usage(1, 1_000, 100, cost))
    task, agent, subject, model = (named | changes).values()
    names = crew, task, agent, subject, model
    return Cell(day.isoformat(), None, names, [*usage.public().values()])


def report(
    query: Query,
    cells: list[Cell],
    before: list[Cell],
    now_ms: int,
    page: Page | None = None,
) -> Report:
    """A report of cells that come one by one."""
    tally = Tally(query, page or Page(), now_ms)
    for each in before:
        tally.take_before([each])
    for each in cells:
        tally.take([each])
    return tally.report()


def public(made: Report) -> dict[str, Any]:
    rows = json.loads(f"[{rows_text(made.query, made.rows)}]")
    return made.public(None) | {"rows": rows}


def days(count: int, before: date = TODAY) -> list[date]:
    return [before - timedelta(days=n) for n in range(count, 0, -1)]


NAMES = st.sampled_from(["a", "b", "~"])
CELLS = st.builds(
    Cell,
    st.sampled_from(["2026-11-01", "2026-11-02"]),
    st.integers(0, 23),
    st.tuples(NAMES, NAMES, NAMES, NAMES, NAMES),
    st.builds(
        lambda calls, cost: [*Usage(calls, cost_nanodollars=cost).public().values()],
        st.integers(0, 9),
        st.integers(0, 2**60),
    ),
)
GROUPS = st.lists(st.sampled_from(list(DIMENSIONS)), unique=True)
COST = 3


@given(st.lists(CELLS), GROUPS)
def test_however_it_is_grouped_the_sum_is_the_same(cells: list[Cell], group_by: list[str]):
    found = Rows(group_by, 1_000)
    found.take(cells)
    rows = found.in_order()
    assert sum(usage.cost_nanodollars for _, usage in rows) == sum(c.sums[COST] for c in cells)
    assert [names for names, _ in rows] == sorted({names for names, _ in rows})


@given(st.lists(st.lists(CELLS)), GROUPS.filter(bool), st.integers(1, 5))
def test_pages_have_together_what_one_page_would_have(
    pieces: list[list[Cell]], group_by: list[str], limit: int
):
    whole, pages, after = Rows(group_by, 10_000), list[Any](), None
    for piece in pieces:
        whole.take(piece)
    while True:
        page = Rows(group_by, limit, after)
        for piece in pieces:
            page.take(piece)
        pages += page.in_order()
        if not page.more:
            break
        after = pages[-1][0]
    assert pages == whole.in_order()


def test_a_report_tells_sums_by_name_and_what_is_sure_of_them():
    lost = Usage(2, 10, 10, 4 * DOLLAR, lost_calls=1, lost_nanodollars=DOLLAR)
    cells = [cell(TODAY), cell(TODAY, crew="map", usage=lost)]
    told = public(report(NOVEMBER, cells, [], NOON_MS))
    assert [(row["crew"], row["cost_nanodollars"]) for row in told["rows"]] == [
        ("brief", DOLLAR),
        ("map", 4 * DOLLAR),
    ]
    assert told["total"]["calls"] == 3
    assert told["total"]["sure_nanodollars"] == 4 * DOLLAR
    assert told["total"]["estimated_share"] == 0.2


def test_a_month_that_is_not_over_is_foretold():
    cells = [cell(day) for day in days(19)]
    told = report(NOVEMBER, cells, [], NOON_MS).public(None)["forecast"]
    assert told["low_nanodollars"] <= told["cost_nanodollars"] <= told["high_nanodollars"]
    assert told["cost_nanodollars"] == pytest.approx(
        29.5 * DOLLAR, rel=0.01
    )  # half of today is over
    over = Query(date(2026, 11, 1), date(2026, 11, 10))
    assert report(over, cells, [], NOON_MS).forecast is None


def test_an_unusual_day_is_told_with_what_grew_most_and_by_what_was_usual_before_the_range():
    before = [cell(day) for day in days(28, date(2026, 11, 1))]
    dear = cell(date(2026, 11, 2), 9 * DOLLAR, subject="bob")
    made = report(NOVEMBER, [cell(dear_day := date(2026, 11, 2)), dear], before, NOON_MS)
    (found,) = made.public(None)["unusual_days"]
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
        ({"from": "2026-1-5"}, "/query/from"),
        ({"from": "٢٠٢٦-11-05"}, "/query/from"),
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
    table = report_head(query) + report_lines(report(query, cells, [], NOON_MS).rows)
    (row,) = csv.DictReader(io.StringIO(table))
    assert row["model"] == '\'=HYPERLINK("http://x")'
    assert (row["input_tokens"], row["cost_usd"]) == ("1000", "0.0025")


def test_a_table_has_our_own_dash_as_it_is_and_what_is_sure():
    usage = Usage(1, 1, 1, 4, lost_nanodollars=1)
    query = Query(TODAY, TODAY, ("crew",))
    made = report(query, [cell(TODAY, crew="-", usage=usage)], [], NOON_MS)
    (row,) = csv.DictReader(io.StringIO(report_head(query) + report_lines(made.rows)))
    assert (row["crew"], row["sure_nanodollars"], row["estimated_share"]) == ("-", "3", "0.25")


def test_what_is_foretold_stays_for_an_hour():
    cells = [cell(day) for day in days(19)]
    soon, later = (
        report(NOVEMBER, cells, [], NOON_MS + ms).forecast for ms in (59 * 60_000, 60 * 60_000)
    )
    assert report(NOVEMBER, cells, [], NOON_MS).forecast == soon != later


@pytest.mark.parametrize("after", ["", "x", "{}", "[]", "[1]", '["a","b"]', "[" * 5_000, "null"])
def test_a_place_that_no_page_told_is_refused(after: str):
    with pytest.raises(InvalidInputError) as refused:
        read_page(after, None, ("crew",), 10)
    assert list(refused.value.pointers) == ["/query/after"]


@given(st.integers(-(2**60), 2**60))
def test_dollars_are_exact(nanodollars: int):
    whole, _, part = usd(nanodollars).lstrip("-").partition(".")
    value = int(whole) * DOLLAR + int(part.ljust(9, "0"))
    assert (-value if nanodollars < 0 else value) == nanodollars

"""Reports of roll-ups over HTTP: a page of rows, made in pieces beside the event loop.

No piece takes long, however many names a tenant has, and no answer is longer than a host sends.
"""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request

from core import bootstrap, cpu
from core.costs import spreadsheets
from core.costs.cells import Cell, by_variant
from core.costs.report import (
    MOST_FOCUS_ROWS,
    MOST_ROWS,
    Page,
    Query,
    Report,
    Row,
    Tally,
    read_page,
    rows_text,
)
from core.costs.spreadsheets import FOCUS_BY
from core.costs.tally import Rows
from core.identity import Principal
from core.json_text import compact
from functions._http import apps, edge

PIECE_ROWS = 500  # made into text at once: about 5 ms
PageText = tuple[str, str | None]  # a text, and the path of the next page


async def report(
    request: Request, who: Principal, query: Query, form: str, now_ms: int
) -> PageText:
    """Return a page of a report as JSON or CSV."""
    tally = Tally(query, _page(request, query.group_by, MOST_ROWS), now_ms)
    await _read(who, query.days_before(), tally.take_before)
    days = query.days(tally.today)
    await _read(who, days, tally.take, hours=query.by_hour)
    made = await cpu.run(who.tenant, Tally.report, tally)
    following = _next(request, query, made.rows, form) if made.more else None
    if form == "csv":
        lines = await in_pieces(who.tenant, spreadsheets.report_lines, made.rows)
        return "".join([spreadsheets.report_head(query), *lines]), following
    return _json(
        made, await in_pieces(who.tenant, partial(rows_text, query), made.rows), following
    ), following


def _json(made: Report, rows: Sequence[str], following: str | None) -> str:
    """Return a report whose rows are text already."""
    return f'{compact(made.public(following))[:-1]},"rows":[{",".join(rows)}]}}'


async def focus(request: Request, who: Principal, query: Query, today: date) -> PageText:
    """Return a page of a FOCUS file; days before it and after it are not read."""
    page = _page(request, FOCUS_BY, MOST_FOCUS_ROWS)
    rows = Rows(FOCUS_BY, page.limit, page.after)
    days = [day for day in query.days(today) if page.after is None or day >= page.after[0]]
    read = bootstrap.spending_log().pieces(who.tenant, days, partial(_last_day, rows))
    async for day in read:
        if rows.is_beyond(day):
            break
    found = [Row(*row) for row in rows.in_order()]
    lines = await in_pieces(who.tenant, partial(spreadsheets.focus_lines, who.tenant), found)
    following = _next(request, query, found, "focus") if rows.more else None
    return "".join([spreadsheets.focus_head(), *lines]), following


def _last_day(rows: Rows, cells: Sequence[Cell]) -> str:
    """Add cells by their variants; return the last one's day."""
    rows.take(by_variant(cells))
    return cells[-1].day


async def _read(
    who: Principal,
    days: Sequence[str],
    take: Callable[[list[Cell]], None],
    *,
    hours: bool = False,
) -> None:
    async for _ in bootstrap.spending_log().pieces(who.tenant, days, take, hours=hours):
        pass


async def in_pieces(
    tenant: str, text_of: Callable[[Sequence[Row]], str], rows: Sequence[Row]
) -> list[str]:
    """Return rows as text, made in pieces between which other tenants have their turn."""
    pieces = [rows[at : at + PIECE_ROWS] for at in range(0, len(rows), PIECE_ROWS)]
    return [await cpu.run(tenant, text_of, piece) for piece in pieces]


def _page(request: Request, group_by: Sequence[str], most: int) -> Page:
    limit = apps.whole_number(request, "limit", 1, most)
    return read_page(request.query_params.get("after"), limit, group_by, most)


def _next(request: Request, query: Query, rows: Sequence[Row], form: str) -> str:
    asked = {"from": query.first, "to": query.last, "format": form}
    asked |= {"group_by": ",".join(query.group_by)} if query.group_by else {}
    asked |= {"limit": limit} if (limit := request.query_params.get("limit")) else {}
    asked |= {"after": compact(rows[-1].names)}
    return edge.link(request, f"/v1/costs?{urlencode(asked)}")

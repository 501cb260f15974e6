"""GET /v1/costs -- what was spent: in a range of days, grouped by day, hour, model, crew and more.

POST /v1/usage -- counts model calls that were made elsewhere, each once by its id.
GET, PUT, DELETE /v1/budgets -- what may be spent, on what and in what time.

The answer is JSON, or with `Accept: text/csv` or `?format=csv` a table, or with `?format=focus` a FOCUS
file. It is made of roll-ups, so it costs as much for a million calls as for a few.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import reduce
from operator import add
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap
from core.costs import recording, spreadsheets
from core.costs.provider_usage import read_usage
from core.costs.report import Query, read_query, report
from core.costs.rollup import DAY_MS, NOBODY, Cell
from core.costs.token_counts import MOST_TOKENS
from core.costs.usage import Usage
from core.errors import POINTERS, InvalidInputError
from core.identity import BUDGETS_WRITE, COSTS_READ, COSTS_WRITE, Principal
from core.json_text import compact
from functions import _app, _auth, _budgets, _models

USAGE_BYTES = 2 * 1024**2  # of POST /v1/usage: a thousand calls
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
FORMATS = ("json", "csv", "focus")
HEADERS = {"cache-control": "private, no-cache", "vary": "Authorization, Accept"}


async def cost_report(request: Request, who: Principal) -> Response:
    """Answer with the costs of a range of days, or with 304 if the caller has just these."""
    _app.refuse_unknown_parameters(request, "from", "to", "group_by", "format")
    now_ms = round(time.time() * 1000)
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    query, form = read_query(request.query_params, today), _format(request)
    if form == "focus":
        cells = await _cells(who, Query(query.first, query.last), today)
        return _answer(request, spreadsheets.focus_csv(who.tenant, cells), "text/csv")
    book = bootstrap.budget_book()
    cells, before = await asyncio.gather(
        _cells(who, query, today), book.spending(who.tenant, query.days_before())
    )
    made = report(query, cells, before, now_ms)
    if form == "csv":
        return _answer(request, spreadsheets.report_csv(made), "text/csv")
    return _answer(request, compact(made.public()), "application/json")


async def _cells(who: Principal, query: Query, today: date) -> list[Cell]:
    days = query.days(today)
    return await bootstrap.budget_book().spending(who.tenant, days, hours=query.by_hour)


def _format(request: Request) -> str:
    asked = request.query_params.get("format")
    if asked is None:
        return "csv" if request.headers.get("accept", "").startswith("text/csv") else "json"
    if asked not in FORMATS:
        raise InvalidInputError(
            "a parameter is wrong", {"/query/format": f"must be one of {FORMATS}"}
        )
    return asked


def _answer(request: Request, text: str, media_type: str) -> Response:
    """Return the text, or 304 to a caller who has it; its tag is its digest."""
    body = text.encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = HEADERS | {"etag": etag}
    known = request.headers.get("if-none-match", "")
    if etag in {tag.strip().removeprefix("W/") for tag in known.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


class ReportedCallModel(BaseModel):
    """One call of POST /v1/usage; `usage` is the provider's usage object, as it came."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
    model: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
    at: Annotated[str | None, Field(max_length=40)] = None
    usage: dict[str, Any] | None = None
    prompt_bytes: Annotated[int | None, Field(ge=0, le=MOST_TOKENS)] = None
    max_output_tokens: Annotated[int | None, Field(ge=1, le=MOST_TOKENS)] = None
    variant: Literal["standard", "batch", "flex", "priority", "fast"] = "standard"
    required_quality: Literal["low", "high", "critical"] = "high"
    crew: Name = NOBODY
    task_type: Name = NOBODY
    agent: Name = NOBODY
    subject: Name | None = None

    def reported(self, at_ms: int, subject: str) -> recording.ReportedCall:
        """Return the call; one that says nothing of its subject is that of whoever reports it."""
        names = self.crew, self.task_type, self.agent, self.subject or subject, self.model
        return recording.ReportedCall(
            self.id,
            at_ms,
            names,
            self.usage,
            self.prompt_bytes or 0,
            self.max_output_tokens,
            self.variant,
            self.required_quality,
        )


class UsageRequest(BaseModel):
    """The body of POST /v1/usage."""

    model_config = ConfigDict(extra="forbid", strict=True)

    calls: Annotated[
        _models.List[ReportedCallModel], Field(min_length=1, max_length=recording.MOST_CALLS)
    ]


async def usage(request: Request, who: Principal) -> Response:
    """Count calls; answer what each costs, and how the same call could cost less."""
    asked = await _models.read(request, USAGE_BYTES, UsageRequest, "the body is no usage")
    now_ms = round(time.time() * 1000)
    reported = _reported(asked.calls, now_ms, who.subject)
    prices = bootstrap.prices()
    calls = [recording.recorded(call, prices) for call in reported]
    known = await bootstrap.usage_book().record(who.tenant, calls)
    told = [
        {
            "id": call.id,
            "is_new": call.id not in known,
            "usage": call.usage.public(),
            "priced_by": call.rates.source if call.rates else None,
            "savings": [
                {"variant": saving.variant, "saves_nanodollars": saving.nanodollars}
                for saving in recording.savings(asked_for, call.usage, prices)
            ],
        }
        for asked_for, call in zip(reported, calls, strict=True)
    ]
    new = [call.usage for call in calls if call.id not in known]
    total = reduce(add, new, Usage())
    return JSONResponse({"recorded": len(new), "total": total.public(), "calls": told})


def _reported(
    calls: Sequence[ReportedCallModel], now_ms: int, subject: str
) -> list[recording.ReportedCall]:
    """Return the calls with their times. Raises InvalidInputError for what cannot be counted."""
    wrong = dict[str, str]()
    seen = set[str]()
    times = list[int]()
    for at, call in enumerate(calls):
        try:
            times.append(_time_ms(call.at, now_ms))
        except ValueError as error:
            wrong[f"/calls/{at}/at"] = str(error)
        if call.id in seen:
            wrong[f"/calls/{at}/id"] = "is in this request twice"
        if problem := _usage_problem(call):
            wrong[f"/calls/{at}/usage"] = problem
        seen.add(call.id)
        if len(wrong) >= POINTERS:
            break
    if wrong:
        raise InvalidInputError("the body is no usage", wrong)
    return [call.reported(at_ms, subject) for call, at_ms in zip(calls, times, strict=True)]


def _usage_problem(call: ReportedCallModel) -> str | None:
    """Return why what a call consumed cannot be counted, None if it can."""
    if call.usage is None:
        told = call.prompt_bytes is not None
        return None if told else "is missing; or say prompt_bytes, to count a bound"
    reported = read_usage(call.usage)
    if reported is None:
        return "is no usage object of OpenAI, Anthropic, Gemini or Bedrock"
    return None if reported.sound else "holds a number of tokens that cannot be"


def _time_ms(text: str | None, now_ms: int) -> int:
    """Return a time in ISO 8601. Raises ValueError for what is none, or cannot be counted any more."""
    if text is None:
        return now_ms
    try:
        at = datetime.fromisoformat(text)
        at_ms = round(at.timestamp() * 1000) if at.tzinfo else None
    except (ValueError, OverflowError):
        at_ms = None
    if at_ms is None:
        raise ValueError("must be a time with its zone, such as 2026-11-25T12:00:00Z")
    if at_ms > now_ms + recording.FUTURE_MS:
        raise ValueError("lies in the future")
    if at_ms < now_ms - recording.OLDEST_DAYS * DAY_MS:
        raise ValueError(f"is more than {recording.OLDEST_DAYS} days ago")
    return at_ms


_may_set = _auth.scope(BUDGETS_WRITE)
routes = [
    _auth.GuardedRoute("/v1/costs", cost_report, _auth.scope(COSTS_READ)),
    _auth.GuardedRoute("/v1/usage", usage, _auth.scope(COSTS_WRITE), "POST"),
    _auth.GuardedRoute("/v1/budgets", _budgets.budget_list, _auth.scope(COSTS_READ)),
    _auth.GuardedRoute("/v1/budgets", _budgets.zone_put, _may_set, "PUT"),
    _auth.GuardedRoute("/v1/budgets/{budget}", _budgets.budget_state, _auth.scope(COSTS_READ)),
    _auth.GuardedRoute("/v1/budgets/{budget}", _budgets.budget_put, _may_set, "PUT"),
    _auth.GuardedRoute("/v1/budgets/{budget}", _budgets.budget_delete, _may_set, "DELETE"),
]
app = _app.starlette(routes)
handler = _app.on_lambda(app)

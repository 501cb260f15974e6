"""Model calls that were made elsewhere, over HTTP: counted, priced, and told what they could save."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from core import bootstrap, cpu, time_of_day
from core.costs import recording
from core.costs.model_names import counted_name
from core.costs.price_lists import Variant
from core.costs.prices import PriceBook
from core.costs.provider_usage import (
    ReportedUsage,
    read_usage,
    read_variant,
    says_nothing_was_used,
)
from core.costs.rollup import DAY_MS, NOBODY
from core.costs.tenant_prices import TenantPriceBook, TenantPrices
from core.costs.token_counts import MOST_TOKENS, TokenCounts
from core.costs.usage import Usage
from core.errors import POINTERS, InvalidInputError
from core.identity import Principal
from core.json_text import compact
from functions._http import bodies, models, times

BODY_BYTES = 2 * 1024**2  # a thousand calls
CONFLICT = "another call was counted under this id; what is said here is not counted"
UNSOUND = (
    "holds a number of tokens that cannot be, such as more from the cache than were sent, without a total that has both;"
    " send it right, or prompt_bytes in its place, to count a bound"
)
PRICED_THEN = "the prices of when it was counted; they are others now"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class CallBody(BaseModel):
    """One call of POST /v1/usage; `usage` is the provider's usage object, as it came."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
    model: Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
    at: Annotated[str | None, Field(max_length=40)] = None
    usage: dict[str, Any] | None = None
    prompt_bytes: Annotated[int | None, Field(ge=0, le=MOST_TOKENS)] = None
    max_output_tokens: Annotated[int | None, Field(ge=1, le=MOST_TOKENS)] = None
    variant: Variant | None = None
    required_quality: recording.Quality = "high"
    crew: Name = NOBODY
    task_type: Name = NOBODY
    agent: Name = NOBODY
    subject: models.Subject | None = None

    def read(self) -> ReportedUsage | None:
        """Return what the provider reported, None for nothing. Raises ValueError for what cannot be."""
        if self.usage is None and self.prompt_bytes is None:
            raise ValueError("is missing; or say prompt_bytes, to count a bound")
        if self.usage is None:
            return None
        reported = read_usage(self.usage)
        if reported is None and says_nothing_was_used(self.usage):
            return ReportedUsage(TokenCounts()) if self.prompt_bytes is None else None
        if reported is None and isinstance(self.usage.get("usage"), dict):
            raise ValueError("is a whole answer of a model; its own `usage` is what counts")
        if reported is None:
            raise ValueError("tells no tokens as OpenAI, Anthropic, Gemini or Bedrock do")
        if not reported.sound:
            raise ValueError(UNSOUND)
        return reported

    def reported(
        self, at_ms: int, usage: ReportedUsage | None, subject: str
    ) -> recording.ReportedCall:
        """Return the call; one that says nothing of its subject is that of whoever reports it."""
        model = counted_name(self.model)
        names = self.crew, self.task_type, self.agent, self.subject or subject, model
        return recording.ReportedCall(
            self.id,
            at_ms,
            names,
            usage and usage.tokens,
            self.prompt_bytes or 0,
            self.max_output_tokens,
            self.variant or read_variant(self.usage or {}) or "standard",
            self.required_quality,
            is_dated=self.at is not None,
            is_estimated=usage is not None and usage.unexplained > 0,
        )


class UsageBody(BaseModel):
    """The body of POST /v1/usage."""

    model_config = ConfigDict(extra="forbid", strict=True)

    calls: Annotated[models.List[CallBody], Field(min_length=1, max_length=recording.MOST_CALLS)]


async def count(request: Request, who: Principal) -> Response:
    """Count calls; answer what each costs, and how the same call could cost less."""
    body = await bodies.read_json(request, BODY_BYTES)
    agreed = await bootstrap.agreed_prices().of(who.tenant)
    batch, book = await cpu.run(who.tenant, partial(_priced, who.subject, agreed), body)
    recorded = await bootstrap.usage_book().record(who.tenant, [call for _, call in batch])
    text = await cpu.run(who.tenant, partial(_answer, recorded, book), batch)
    return Response(text, media_type="application/json")


Batch = list[tuple[recording.ReportedCall, recording.RecordedCall]]


def _priced(subject: str, agreed: TenantPrices, body: Any) -> tuple[Batch, PriceBook]:
    """Return the calls of a body with what each costs, and by which prices. Raises InvalidInputError."""
    prices = TenantPriceBook(bootstrap.prices(), agreed.prices)
    with bodies.collector_off():
        asked = models.parse(body, UsageBody, "the body is no usage")
        reported = _reported(asked.calls, time_of_day.now_ms(), subject)
        return [(call, recording.recorded(call, prices)) for call in reported], prices


def _answer(recorded: recording.Recorded, prices: PriceBook, batch: Batch) -> str:
    """Return the answer to a batch of which some calls were known before."""
    known, ways = recorded.not_new, recording.CheaperWays(prices)
    with bodies.collector_off():
        calls = [_answer_of(recorded, reported, call, ways) for reported, call in batch]
        new = [recorded.usage(call) for _, call in batch if call.id not in known]
        total, alerts = Usage.total(new).public(), list(recorded.alerts)
        answer = {"recorded": len(new), "total": total, "budget_alerts": alerts, "calls": calls}
        return compact(answer)


def _answer_of(
    recorded: recording.Recorded,
    reported: recording.ReportedCall,
    call: recording.RecordedCall,
    ways: recording.CheaperWays,
) -> dict[str, Any]:
    """Return what is answered of one call."""
    fate, usage = recorded.not_new.get(call.id), recorded.usage(call)
    if fate == "conflict":
        return {"id": call.id, "is_new": False, "conflict": CONFLICT}
    return {
        "id": call.id,
        "is_new": fate is None,
        "usage": usage.public(),
        "priced_by": _priced_by(call, usage),
        "savings": [saving.public() for saving in ways.savings(reported, usage)],
    }


def _priced_by(call: recording.RecordedCall, counted: Usage) -> str | None:
    """Return whose prices a call was counted at; the ones of now may be others."""
    if counted.unpriced_calls:
        return None if call.usage.unpriced_calls else PRICED_THEN
    if counted != call.usage:
        return PRICED_THEN
    return call.rates.source if call.rates else None


def _reported(calls: Sequence[CallBody], now_ms: int, subject: str) -> list[recording.ReportedCall]:
    """Return the calls. Raises InvalidInputError for what cannot be counted."""
    wrong, seen = dict[str, str](), set[str]()
    reported = list[recording.ReportedCall]()
    for at, call in enumerate(calls):
        if call.id in seen:
            wrong[f"/calls/{at}/id"] = "is in this request twice"
        seen.add(call.id)
        field = "at"
        try:
            at_ms = _time_ms(call.at, now_ms)
            field = "usage"
            reported.append(call.reported(at_ms, call.read(), subject))
        except ValueError as error:
            wrong[f"/calls/{at}/{field}"] = str(error)
        if len(wrong) >= POINTERS:
            break
    if wrong:
        raise InvalidInputError("the body is no usage", wrong)
    return reported


def _time_ms(text: str | None, now_ms: int) -> int:
    """Return a time in ISO 8601. Raises ValueError for what is none, or cannot be counted any more."""
    at_ms = times.time_ms(text, now_ms)
    if at_ms < now_ms - recording.OLDEST_DAYS * DAY_MS:
        raise ValueError(f"is more than {recording.OLDEST_DAYS} days ago")
    return at_ms

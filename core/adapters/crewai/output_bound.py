"""How much a model may answer to one call: less than it could, where a budget has no room for more."""

from dataclasses import dataclass, field
from typing import Any

from core.costs.prices import DEFAULT_OUTPUT_TOKENS, bound
from core.costs.rates import Rates
from core.costs.usage import Usage
from core.crews.crew_runner import Session, ShortOfMoneyError

LEAST_OUTPUT_TOKENS = 256  # an answer that may be no longer than this is of no use to a step
_HEEDING = "crewai.llms.providers."  # the modules of LLMs that send their limit with each request


class OutputCap:
    """The limit of output tokens of an LLM, which is read when a request is made of a call.

    `lowered` says to how many it was lowered, and for which budget.
    """

    def __init__(self, llm: Any) -> None:
        self._llm, self._name = llm, _limit_field(llm)
        self._own = getattr(llm, self._name, None)
        self.lowered: tuple[int, str] | None = None

    @property
    def can_be_lowered(self) -> bool:
        return type(self._llm).__module__.startswith(_HEEDING) and hasattr(self._llm, self._name)

    def lower(self, tokens: int, budget: str) -> None:
        self.lowered = tokens, budget
        setattr(self._llm, self._name, tokens)

    def restore(self) -> None:
        if self.can_be_lowered:
            setattr(self._llm, self._name, self._own)


def _limit_field(llm: Any) -> str:
    """Return where an LLM keeps its limit: Gemini's, that of OpenAI's present models, or all others'."""
    if hasattr(llm, "max_output_tokens"):
        return "max_output_tokens"
    if getattr(llm, "max_completion_tokens", None):
        return "max_completion_tokens"
    asks_openai = hasattr(llm, "max_completion_tokens") and not getattr(llm, "base_url", None)
    return "max_completion_tokens" if asks_openai and not llm.max_tokens else "max_tokens"


@dataclass(frozen=True, slots=True)
class OutputBound:
    """What one call may cost; `limit` is how many tokens the model answers at most, if that is known."""

    rates: Rates | None
    prompt_bytes: int
    limit: int | None
    cap: OutputCap = field(repr=False)
    has_tools: bool = True
    prices_version: int = 0  # of the tenant's prices that `rates` are of

    def reserve(self, session: Session, model: str) -> tuple[str, Usage]:
        """Reserve the call, with a shorter answer if that is what there is money for.

        Returns its id, and what is held for it.
        """
        most = bound(self.rates, self.prompt_bytes, self.limit, has_tools=self.has_tools)
        least = self._cost(LEAST_OUTPUT_TOKENS) if self.cap.can_be_lowered else None
        while True:
            try:
                call = session.reserve(
                    model, most, least_nanodollars=least, prices_version=self.prices_version
                )
            except ShortOfMoneyError as short:
                tokens = self._tokens_for(short.headroom_nanodollars)
                self.cap.lower(tokens, short.budget)
                most = self._bound(tokens)
            else:
                return call, most

    def _tokens_for(self, nanodollars: int) -> int:
        """Return the most tokens that are paid for; the least that are of use where it is not so many."""
        fits, beyond = LEAST_OUTPUT_TOKENS, self._limit + 1
        while beyond - fits > 1:
            middle = (fits + beyond) // 2
            fits, beyond = (middle, beyond) if self._cost(middle) <= nanodollars else (fits, middle)
        return fits

    @property
    def _limit(self) -> int:
        return DEFAULT_OUTPUT_TOKENS if self.limit is None else self.limit

    def _bound(self, tokens: int) -> Usage:
        limit = min(tokens, self._limit)
        return bound(self.rates, self.prompt_bytes, limit, has_tools=self.has_tools)

    def _cost(self, tokens: int) -> int:
        return self._bound(tokens).cost_nanodollars

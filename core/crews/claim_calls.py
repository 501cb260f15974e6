"""The model calls of one claim, numbered, from their reservation until they are answered."""

import itertools

from core.costs.usage import Usage
from core.crews.call_ledger import Call
from core.crews.ledger import Claim

Whose = tuple[str, str, str, str]  # crew, task, agent and subject for whom money is spent


class ClaimCalls:
    """Makes the calls of a claim, and keeps those that are under way."""

    def __init__(self, claim: Claim, whose: Whose) -> None:
        self._claim, self._whose = claim, whose
        self._numbers = itertools.count(1)
        self._under_way: dict[str, Call] = {}

    def new(
        self, model: str, bound: Usage, least_nanodollars: int | None, prices_version: int
    ) -> Call:
        """Return the next call, which is to be reserved."""
        claim, number = self._claim, next(self._numbers)
        crew, task, agent, subject = self._whose
        return Call(
            claim.tenant,
            claim.flow,
            claim.step,
            claim.epoch,
            number,
            model,
            crew,
            task,
            bound,
            agent,
            subject,
            least_nanodollars,
            prices_version,
        )

    def begin(self, call: Call) -> None:
        """Keep a call that is reserved."""
        self._under_way[call.id] = call

    def end(self, call: str) -> Call:
        """Return the call of this id, which is answered."""
        return self._under_way.pop(call)

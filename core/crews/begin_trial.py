"""Beginning a trial: what must be so, that the two arms are what the trial says, and one is cheaper.

The model that the trial replaces is the one that does the task now, chosen by the tenant or else the
deployment's; what the task used earlier is compared with nothing. A choice that is made in between is
seen by the store, which begins no trial then. What is tried is a right-sizing that the savings recommend by
what is recorded and by the prices of now, and that is not verified.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from core import cpu, time_of_day
from core.costs.cells import Cell
from core.costs.model_choices import CRITICAL, Trial
from core.costs.model_names import counted_name
from core.costs.prices import PriceBook, priced, rates_of
from core.costs.report import Query
from core.costs.rollup import DAY_MS, day_of
from core.costs.savings.recommendation import Recommendation, Target, read_id
from core.costs.savings.report import recommendations
from core.costs.savings.spend import Known, Record
from core.costs.spending_log import SpendingLog
from core.costs.tenant_prices import AgreedPrices, TenantPriceBook
from core.costs.token_counts import TokenCounts
from core.crews.trials import Trials
from core.errors import ConflictError, InvalidInputError, NothingThereError

TYPICAL = TokenCounts(1_000, output=250)  # a call, by which prices are compared
LATELY_DAYS = 90  # in which the task must have used the model
NOT_RECOMMENDED = "GET /v1/costs/savings?from={first}&to={last} does not recommend this; give `from` and `to` of a report that does"
VERIFIED = "what is recorded shows already that the cheaper model is as good: PUT /v1/costs/models/{crew}/{task} chooses it"
TOO_CRITICAL = "the answers to this task are critical: no other model is tried at it"
NOT_USED = f"in {LATELY_DAYS} days the task made no call of the model that the trial is to replace"
NOT_HERE = "is none of those that may be chosen here (CREWLINE_MODELS)"


@dataclass(frozen=True, slots=True)
class DeployedModels:
    """The models of a deployment. `in_use` does the tasks of which tenants chose none; None: unknown here.

    `counted` is the name under which calls of a model are counted.
    """

    in_use: str | None
    may_choose: Callable[[str], bool]
    counted: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class TrialStarter:
    """Begins trials."""

    trials: Trials
    spending: SpendingLog
    agreed: AgreedPrices
    prices: PriceBook
    models: DeployedModels

    async def begin(self, tenant: str, trial: Trial, quality: str, period: Query) -> Trial:
        """Begin a trial at a task whose answers need this quality.

        Raises ConflictError for a task that is critical or done by another model now, where a trial
        runs, or for what is verified; NothingThereError without a recorded call of the model, and for what
        the savings of the period do not recommend; InvalidInputError where the other is not cheaper.
        """
        if quality == CRITICAL:
            raise ConflictError(TOO_CRITICAL)
        now_ms = time_of_day.now_ms()
        recorded = await self._recorded(tenant, trial, period, now_ms)
        if not recorded.calls:
            raise NothingThereError(NOT_USED)
        if recorded.critical:
            raise ConflictError(TOO_CRITICAL)
        chosen = await self._chosen(tenant, trial)
        self._require_in_use(trial, chosen)
        book = TenantPriceBook(self.prices, (await self.agreed.of(tenant)).prices)
        self._require_cheaper(book, trial)
        recommended = partial(_recommended, book, read_id(trial.id), now_ms)
        _require_unverified(await cpu.run(tenant, recommended, recorded.record), trial, period)
        trial = replace(trial, model=counted_name(trial.model))
        return await self.trials.start(tenant, trial, chosen)

    async def _chosen(self, tenant: str, trial: Trial) -> str | None:
        """Return the model that the tenant chose for the task."""
        for each in await self.trials.overrides(tenant):
            if (each.crew, each.task) == (trial.crew, trial.task):
                return each.model
        return None

    def _require_in_use(self, trial: Trial, chosen: str | None) -> None:
        in_use = chosen or self.models.in_use
        if in_use is None:
            return
        counted = self.models.counted
        if counted(in_use) == counted(trial.cheaper):
            raise ConflictError(f"the task is done by {trial.cheaper} already, the cheaper model")
        if counted(in_use) != counted_name(trial.model):
            raise ConflictError(f"the task is done by {in_use} now, and not by {trial.model}")

    def _require_cheaper(self, book: PriceBook, trial: Trial) -> None:
        """Raise InvalidInputError where the models' prices are unknown, or the other is not cheaper."""
        if not self.models.may_choose(trial.cheaper):
            raise _refused(f"its cheaper model {NOT_HERE}")
        cheaper = _cost(book, trial.cheaper, "cheaper")
        if cheaper >= _cost(book, trial.model, "present"):
            raise _refused("names a model that is not cheaper")

    async def _recorded(self, tenant: str, trial: Trial, period: Query, now_ms: int) -> "_Recorded":
        """Return what is recorded, lately and in a period: each day is read once, however they overlap."""
        lately = {day_of(now_ms - ago * DAY_MS) for ago in range(LATELY_DAYS)}
        in_period = set(period.days(datetime.fromtimestamp(now_ms / 1000, UTC).date()))
        recorded = _Recorded(trial, lately, in_period)
        days = sorted(lately | in_period)
        async for _ in self.spending.pieces(tenant, days, recorded.take):
            pass
        return recorded


class _Recorded:
    """What is recorded: lately of a task, and in a period of all tasks (`record`).

    `calls` are those of the task by the model in use; `critical`: any of the task's calls was.
    """

    def __init__(self, trial: Trial, lately: Container[str], period: Container[str]) -> None:
        self._trial, self._lately, self._period = trial, lately, period
        self.calls, self.critical = 0, False
        self.record = Record()

    def take(self, cells: list[Cell]) -> None:
        """Add cells of any days."""
        self.record.take(cell for cell in cells if cell.day in self._period)
        trial, model_in_use = self._trial, counted_name(self._trial.model)
        for cell in cells:
            crew, task, _, _, model = cell.names
            if (crew, task) == (trial.crew, trial.task) and cell.day in self._lately:
                self.calls += cell.stored["calls"] if model == model_in_use else 0
                self.critical = self.critical or bool(cell.stored.get(f"quality_{CRITICAL}"))


def _require_unverified(found: Recommendation | None, trial: Trial, period: Query) -> None:
    """Raise NothingThereError or ConflictError for what there is no reason to try."""
    if found is None:
        raise NothingThereError(NOT_RECOMMENDED.format(first=period.first, last=period.last))
    if found.verified:
        raise ConflictError(VERIFIED.format(crew=trial.crew, task=trial.task))


def _recommended(
    book: PriceBook, target: Target, now_ms: int, record: Record
) -> Recommendation | None:
    """Return what the savings say of a target, by the prices of now; None where that is nothing."""
    known = Known.of(book, now_ms, record)
    spend = known.spends.get(target.names)
    found = [] if spend is None else recommendations(spend, known)
    return next((each for each in found if each.target == target), None)


def _cost(book: PriceBook, model: str, called: str) -> int:
    """Return what a call costs, in nano-dollars. Raises InvalidInputError where nobody knows."""
    used = priced(rates_of(book, model, time_of_day.now_ms()), TYPICAL)
    if used.unpriced_calls:
        raise _refused(f"nobody knows the price of the {called} model: set it (PUT /v1/prices)")
    return used.cost_nanodollars


def _refused(reason: str) -> InvalidInputError:
    return InvalidInputError("no trial of this", {"/saving": reason})

"""Keys as scripts take them, several together: a dataclass stands for its fields (calls.py).

Who only reads flows runs no script, and does without these.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Self

from core.adapters.upstash.calls import Keys
from core.adapters.upstash.keys import Keyspace
from core.costs.rollup import (
    DAY_MS,
    HOUR_MS,
    MOST_CELLS,
    MOST_HOUR_CELLS,
    REMEMBERED_DAYS,
    day_of,
    months_around,
)

Key = Annotated[str, "key"]


@dataclass(frozen=True, slots=True)
class Turn:
    """Which tenants of a partition may have what is due of them leased, and how much of it."""

    index: Key
    of_tenants: Keys
    tenants: list[str]
    limit: int
    per_tenant: int
    lease_ms: int


@dataclass(frozen=True, slots=True)
class FlowKeys:
    """A flow as scripts take it: its hash and log, its tenant's due set and the index of that."""

    flow_key: Key
    log: Key
    due: Key
    index: Key
    tenant: str
    flow: str
    channel: str

    @classmethod
    def of(cls, keys: Keyspace, tenant: str, flow: str) -> Self:
        """Return the keys of a flow."""
        return cls(
            keys.flow(tenant, flow),
            keys.log(tenant, flow),
            keys.due(tenant),
            keys.due_index(keys.tag(tenant)),
            tenant,
            flow,
            keys.live(tenant, flow),
        )


@dataclass(frozen=True, slots=True)
class DayKeys:
    """The roll-ups of a tenant around a day, which is counted from 1970, and how long they may get."""

    yesterday: Key
    today: Key
    tomorrow: Key
    yesterday_hours: Key
    today_hours: Key
    tomorrow_hours: Key
    day: int
    most_cells: int = MOST_CELLS
    most_hour_cells: int = MOST_HOUR_CELLS

    @classmethod
    def around(cls, keys: Keyspace, tenant: str, day: int) -> Self:
        """Return the roll-ups of a tenant around a day."""
        yesterday, today, tomorrow = (day_of((day + off) * DAY_MS) for off in (-1, 0, 1))
        spend = keys.spend
        return cls(
            spend(tenant, yesterday),
            spend(tenant, today),
            spend(tenant, tomorrow),
            spend(tenant, yesterday, hours=True),
            spend(tenant, today, hours=True),
            spend(tenant, tomorrow, hours=True),
            day,
        )


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """What budgets of a tenant hold around a month, and the channel that tells of settles."""

    budgets_before: Key
    budgets_now: Key
    budgets_after: Key
    months: list[str]
    settles: str

    @classmethod
    def around(cls, keys: Keyspace, tenant: str, at_ms: int) -> "HeldKeys":
        """Return where budgets hold money around a time."""
        return _held_keys(keys, tenant, at_ms // DAY_MS)


@lru_cache(maxsize=1024)
def _held_keys(keys: Keyspace, tenant: str, day: int) -> HeldKeys:
    months = months_around(day * DAY_MS)
    before, now, after = (keys.budgets(tenant, month) for month in months)
    return HeldKeys(before, now, after, months, keys.settles(tenant))


@dataclass(frozen=True, slots=True)
class OutboxKeys:
    """What of a tenant is to be sent by webhook: of flows, and alerts of budgets."""

    outbox: Key
    outbox_index: Key
    deliveries: Key

    @classmethod
    def of(cls, keys: Keyspace, tenant: str) -> Self:
        """Return where a tenant's webhooks are sent from."""
        index = keys.outbox_index(keys.tag(tenant))
        return cls(keys.outbox(tenant), index, keys.deliveries(tenant))


@dataclass(frozen=True, slots=True)
class MoneyKeys:
    """Where a script counts money: in roll-ups and budgets around a day, whose alerts are sent."""

    days: DayKeys
    held: HeldKeys
    outbox: OutboxKeys

    @classmethod
    def around(cls, keys: Keyspace, tenant: str, at_ms: int) -> Self:
        """Return where money of about a time is counted."""
        days = DayKeys.around(keys, tenant, at_ms // DAY_MS)
        return cls(days, HeldKeys.around(keys, tenant, at_ms), OutboxKeys.of(keys, tenant))


@dataclass(frozen=True, slots=True)
class TrialKeys:
    """The trials of a tenant, and the models that do its tasks."""

    trials: Key
    models: Key

    @classmethod
    def of(cls, keys: Keyspace, tenant: str) -> Self:
        """Return what scripts take that record what came of trials."""
        return cls(keys.of(tenant, "trials"), keys.of(tenant, "models"))


@dataclass(frozen=True, slots=True)
class FeedbackKeys:
    """The feedback of a task as scripts take it."""

    tasks: Key
    listed: Key
    feedback: Key
    forgotten: Key
    learning: Key
    learning_index: Key
    tenant: str
    task: str

    @classmethod
    def of(cls, keys: Keyspace, tenant: str, task: str) -> Self:
        """Return what the scripts take that change the feedback of a task."""
        return cls(
            keys.of(tenant, "feedback"),
            keys.learning_tasks(tenant),
            keys.feedback(tenant, task),
            keys.of(tenant, "feedback", task, "forgotten"),
            keys.learning(tenant),
            keys.learning_index(keys.tag(tenant)),
            tenant,
            task,
        )


def call_ids(keys: Keyspace, tenant: str, now_ms: int) -> tuple[str, str]:
    """Return where the ids of calls made elsewhere are that came in the last period, and in this."""
    before, now = _two_periods(now_ms)
    return keys.of(tenant, "calls", before), keys.of(tenant, "calls", now)


def feedback_ids(
    keys: Keyspace, tenant: str, task: str, subject: str, now_ms: int
) -> tuple[str, str]:
    """Return where the ids of a subject's feedback are that came in the last period, and in this."""
    before, now = _two_periods(now_ms)
    ids = "feedback", task, "ids"
    return keys.of(tenant, *ids, before, subject), keys.of(tenant, *ids, now, subject)


def is_new_period(now_ms: int) -> bool:
    """Tell whether these 32 days have only begun: who asks by a clock that is behind looks in the last ones."""
    return now_ms % (REMEMBERED_DAYS * DAY_MS) < HOUR_MS


def _two_periods(now_ms: int) -> tuple[str, str]:
    """Return which 32 days since 1970 were the last, and which these are in: ids are kept by them."""
    period = now_ms // (REMEMBERED_DAYS * DAY_MS)
    return str(period - 1), str(period)

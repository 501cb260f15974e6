"""Keys as scripts take them, several together: a dataclass stands for its fields (calls.py)."""

from dataclasses import dataclass
from typing import Annotated

from core.costs.rollup import MOST_CELLS, MOST_HOUR_CELLS

Key = Annotated[str, "key"]


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


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """What budgets of a tenant hold around a month, and the channel that tells of settles."""

    budgets_before: Key
    budgets_now: Key
    budgets_after: Key
    months: list[str]
    settles: str


@dataclass(frozen=True, slots=True)
class OutboxKeys:
    """What of a tenant is to be sent by webhook: of flows, and alerts of budgets."""

    outbox: Key
    outbox_index: Key
    deliveries: Key


@dataclass(frozen=True, slots=True)
class MoneyKeys:
    """Where a script counts money: in roll-ups and budgets around a day, whose alerts are sent."""

    days: DayKeys
    held: HeldKeys
    alerts: OutboxKeys


@dataclass(frozen=True, slots=True)
class TrialKeys:
    """The trials of a tenant, and the models that do its tasks."""

    trials: Key
    models: Key


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

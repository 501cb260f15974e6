"""Budgets: how much money may be spent in a window of time, and on what.

A *hard* budget refuses a call that it has no room for; a *soft* one only tells. Every budget that a
call counts in must have room for it, or the call holds nothing at all.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.costs.rollup import DAY_MS, HOUR_MS, Names
from core.errors import InvalidInputError

MOST_BUDGETS = 50  # of a tenant
MOST_STATES = 100  # that are told of a budget: those that have most of it
TOO_MANY = f"a tenant has {MOST_BUDGETS} budgets at most"
ANOTHER_SCOPE = (
    "a budget keeps its scope, since what it has spent is of that: set one of another id"
)
EACH = "*"
ALERTS = (50, 80, 100)
NO_ZONES = ("Factory", "localtime", "posixrules")  # files beside those of time zones
ZONE_YEARS = 10  # for which the clock changes of a time zone are written down


class Scope(StrEnum):
    """What a budget is for."""

    TENANT = "tenant"
    CREW = "crew"
    AGENT = "agent"
    MODEL = "model"
    SUBJECT = "subject"
    FLOW = "flow"


class Window(StrEnum):
    """In what time the limit may be spent once; days and months are the tenant's."""

    FLOW = "flow"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit. `name` is which crew, agent and so on, or `*`: each by itself.

    `alerts` are the percentages of the limit at which it is told that they are spent, and `webhook` is
    the address that is told, beside the flow whose call it was.
    """

    id: str
    scope: Scope
    window: Window
    limit_nanodollars: int
    name: str = EACH
    hard: bool = True
    alerts: tuple[int, ...] = ALERTS
    webhook: str | None = None

    @property
    def only_account(self) -> str | None:
        """Return the one name that calls count under; None where there may be many."""
        if self.scope is Scope.TENANT:
            return ""
        return None if self.name == EACH else self.name

    def account(self, names: Names, flow: str | None) -> str | None:
        """Return the name that a call of these names counts under; None where it does not count.

        A call that was made elsewhere is of no flow.
        """
        if flow is None and self.window is Window.FLOW:
            return None
        crew, _, agent, subject, model = names
        values = {
            Scope.TENANT: "",
            Scope.CREW: crew,
            Scope.AGENT: agent,
            Scope.MODEL: model,
            Scope.SUBJECT: subject,
            Scope.FLOW: flow or "",
        }
        value = values[self.scope]
        return value if self.scope is Scope.TENANT or self.name in (EACH, value) else None


@dataclass(frozen=True, slots=True, order=True)
class BudgetState:
    """What a budget has spent and holds in one window (`2026-11-27`, `2026-11`), under one name.

    `told_percent` is the highest of its alerts that was told there; 0 for none. It is of the limit
    `told_limit`: of another one all are still to be told. None: nothing was told.
    """

    budget: str
    window: str
    name: str
    spent_nanodollars: int
    held_nanodollars: int
    told_percent: int = 0
    told_limit: int | None = field(default=None, compare=False)


class Verdict(StrEnum):
    """Why a call may not be made for now, from the mildest to the gravest."""

    SHORT = "short"  # with fewer output tokens it might
    HELD = "held"  # it would fit if other calls gave back what they hold
    EXHAUSTED = "exhausted"  # it would not fit even then
    UNPRICED = "unpriced"  # nobody knows what it costs
    REPRICED = "repriced"  # the tenant's prices are others now: price it anew, and ask again


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call may not be made, and which budget says so.

    `headroom_nanodollars` is what all budgets have room for, `needed_nanodollars` what the call needs. `until_ms` is when the window of an
    exhausted budget ends; None for that of a flow, which does not. No budget says REPRICED.
    """

    verdict: Verdict
    budget: str
    headroom_nanodollars: int
    until_ms: int | None = None
    needed_nanodollars: int = 0


def verdict(left: int, free: int, bound: int, least: int) -> Verdict | None:
    """Return what a hard budget says to a call of this bound; None where it has room.

    `left` is what is not spent, `free` what of that nobody holds, `least` what the call costs if its
    answer is as short as is of use.
    """
    if bound <= free:
        return None
    if bound <= left:
        return Verdict.HELD
    if least <= free:
        return Verdict.SHORT
    return Verdict.HELD if least <= left else Verdict.EXHAUSTED


@dataclass(frozen=True, slots=True)
class Zone:
    """A tenant's time zone: the time from which (ms) each of its offsets (ms) holds, in order."""

    name: str
    offsets: tuple[tuple[int, int], ...]

    def offset_ms(self, time_ms: int) -> int:
        """Return how far its clocks are ahead of UTC."""
        past = [offset for since, offset in self.offsets if since <= time_ms]
        return past[-1] if past else self.offsets[0][1]

    def window(self, window: Window, time_ms: int) -> str:
        """Return the day (`2026-11-27`) or month (`2026-11`) of a time; `` for a flow's."""
        if window is Window.FLOW:
            return ""
        day = _utc(time_ms + self.offset_ms(time_ms)).date().isoformat()
        return day if window is Window.DAY else day[:7]

    def end_ms(self, window: Window, time_ms: int) -> int | None:
        """Return when a day or month ends: at midnight, or, where clocks leap over it, as they do."""
        if window is Window.FLOW:
            return None
        local = _utc(time_ms + self.offset_ms(time_ms)).replace(hour=0, minute=0, second=0)
        next_day = local.replace(microsecond=0) + timedelta(days=1)
        while window is Window.MONTH and next_day.day != 1:
            next_day += timedelta(days=1)
        midnight = round(next_day.timestamp() * 1000)
        changes = [since for since, _ in self.offsets[1:]]
        for (since, offset), until in zip(self.offsets, [*changes, math.inf], strict=True):
            if (end := max(since, midnight - offset)) < until:
                return end
        raise AssertionError("the last offset holds for ever")


UTC_ZONE = Zone("UTC", ((0, 0),))


@dataclass(frozen=True, slots=True)
class TenantBudgets:
    """A tenant's budgets, by id, and what they have spent in the present day and month.

    Of a budget that each name has by itself, the MOST_STATES that have spent and hold most, and they
    first; `cut` are the budgets of which there are more.
    """

    zone: Zone
    budgets: tuple[Budget, ...]
    states: tuple[BudgetState, ...]
    cut: frozenset[str] = frozenset()


def dearest(states: Iterable[BudgetState]) -> tuple[list[BudgetState], set[str]]:
    """Return the MOST_STATES of each budget that have most of it, they first; and whose are left out."""
    of_budgets: dict[str, list[BudgetState]] = {}
    for state in sorted(states, key=_dearest_first):
        of_budgets.setdefault(state.budget, []).append(state)
    kept = [state for found in of_budgets.values() for state in found[:MOST_STATES]]
    return kept, {budget for budget, found in of_budgets.items() if len(found) > MOST_STATES}


def _dearest_first(state: BudgetState) -> tuple[str, int, str]:
    return state.budget, -state.spent_nanodollars - state.held_nanodollars, state.name


def zone(name: str, now_ms: int) -> Zone:
    """Return a time zone by its IANA name. Raises InvalidInputError."""
    if name in NO_ZONES or name.startswith(("right/", "posix/")):
        raise InvalidInputError(f"there is no time zone {name!r}")
    try:
        info = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(f"there is no time zone {name[:64]!r}") from error
    since = now_ms - 40 * DAY_MS
    found = [(0, _offset_ms(info, since))]
    for day in range(ZONE_YEARS * 366):
        before, after = since + day * DAY_MS, since + (day + 1) * DAY_MS
        if _offset_ms(info, after) != found[-1][1]:
            found.append((_change_ms(info, before, after), _offset_ms(info, after)))
    return Zone(name, tuple(found))


def _change_ms(info: ZoneInfo, before: int, after: int) -> int:
    """Return the minute in which clocks change between two times."""
    old = _offset_ms(info, before)
    while after - before > HOUR_MS // 60:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset_ms(info, middle) == old else (before, middle)
    return -(-before // 60_000) * 60_000


def _offset_ms(info: ZoneInfo, time_ms: int) -> int:
    offset = datetime.fromtimestamp(time_ms / 1000, info).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)


def _utc(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)

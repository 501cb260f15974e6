"""Each guard in the scripts is there for a test: without it, that test fails.

A mutant is a copy of the scripts in which one guard is missing. It still runs: a script that is
refused by the server proves nothing, and fails here. (That a flow is created once has two guards:
the log takes no number twice, so without the other one the server refuses the script.)
"""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from core.adapters.upstash import calls
from core.adapters.upstash.http import HttpRedis
from core.crews.ledger import ExpiredError, FencedError
from tests.contract import (
    test_budget_book as book,
)
from tests.contract import (
    test_budgets as budgets,
)
from tests.contract import (
    test_delete as deletion,
)
from tests.contract import (
    test_late_answers as late,
)
from tests.contract import (
    test_ledger_due as due,
)
from tests.contract import (
    test_ledger_steps as steps,
)
from tests.contract import (
    test_ledger_time as times,
)
from tests.contract import (
    test_outbox as post,
)
from tests.contract import (
    test_redis_keys as kept,
)
from tests.contract import (
    test_run_ledger as ledger,
)
from tests.contract import (
    test_usage_book as usage,
)
from tests.faults.test_ledger_machine import over_gateway, played
from tests.fixtures_ports import Flows, over_redis, own_keys

Story = Callable[[Flows], Awaitable[None]]
KILLED = (AssertionError, TimeoutError, pytest.fail.Exception, FencedError, ExpiredError)


@dataclass(frozen=True)
class Mutant:
    """A script without the guard that is marked `-- guard: NAME` in it; that fails `test`.

    It fails the machine too if `any_order`. A marked line is changed in one of these ways: where it
    begins with `or` or `and`, or is a condition of several lines, that part is left out; a
    condition of its own becomes false; anything else is not done. `instead` says what stands there
    where neither will do.
    """

    script: str
    guard: str
    test: Story
    any_order: bool = True
    instead: str | None = None

    @property
    def name(self) -> str:
        return f"{self.script}: {self.guard}"

    def folder(self, at: Path) -> Path:
        folder = shutil.copytree(calls.FOLDER, at / "lua")
        path = folder / f"{self.script}.lua"
        lines = path.read_text().splitlines()
        mark = f"-- guard: {self.guard}"
        (place,) = [n for n, line in enumerate(lines) if line.endswith(mark)]
        code = lines[place].removesuffix(mark).rstrip()
        lines[place] = self.instead if self.instead is not None else without(code)
        path.write_text("\n".join(lines))
        return folder


def without(code: str) -> str:
    """Return a line of Lua without what it guards."""
    stripped = code.strip()
    if stripped.startswith(("or ", "and ")):
        return ""
    if stripped.startswith("if ") and stripped.endswith(" then"):
        return "if false then"
    if stripped.startswith("if "):  # the first condition of several
        return "if false"
    return ""


def in_each_write(guard: str, *tests: Story, instead: str | None = None) -> list[Mutant]:
    """Mutants of a guard that emit, release and commit share, each with the test of one of them."""
    return [Mutant("flow", guard, test, test is tests[0], instead) for test in tests]


def of_outbox(
    script: str,
    guard: str,
    test: Callable[[post.Leasing], Awaitable[None]],
    instead: str | None = None,
) -> Mutant:
    """Return a mutant of a script of the outbox, of which the ledger's machine knows nothing."""

    async def story(flows: Flows) -> None:
        await test(post.Leasing(flows))

    return Mutant(script, guard, story, any_order=False, instead=instead)


def of_deletion(guard: str, test: Story = kept.nothing_is_left_of_a_deleted_flow) -> Mutant:
    return Mutant("delete", guard, test, any_order=False)


MUTANTS = [
    Mutant(
        "create", "another request's flow",
        ledger.test_another_request_under_the_same_id_is_refused, any_order=False,
        instead="  return {'exists'}",
    ),
    Mutant(
        "claim", "claimed before",
        ledger.test_a_claim_whose_reply_was_lost_is_granted_again_as_it_was, any_order=False,
    ),
    Mutant(
        "claim", "the owner's nonce",
        ledger.test_of_twenty_workers_racing_for_a_step_exactly_one_gets_it,
    ),
    Mutant(
        "claim", "fence", ledger.test_a_worker_that_read_the_step_before_it_moved_on_is_fenced
    ),
    Mutant("claim", "done", ledger.test_a_committed_step_is_never_claimed_again),
    Mutant("claim", "the end is final", ledger.test_the_end_is_final_and_comes_once),
    Mutant("claim", "a flow that waits", times.test_no_step_of_a_flow_that_waits_is_begun),
    Mutant(
        "claim", "deadline", times.test_nothing_is_begun_told_or_put_off_when_the_time_is_over
    ),
    Mutant("claim", "busy", ledger.test_a_held_step_is_busy_for_as_long_as_its_lease),
    Mutant("claim", "lost calls", book.test_calls_of_a_step_that_is_begun_again_are_lost),
    Mutant(
        "claim", "calls of the attempt before", book.test_a_new_attempt_counts_its_calls_from_one
    ),
    Mutant(
        "claim", "more steps are free", due.test_while_more_steps_are_free_the_flow_is_due,
        any_order=False,
    ),
    Mutant(
        "flow", "who knows of it",
        due.test_a_claim_by_one_who_does_not_know_of_a_commit_is_no_look_at_it, any_order=False,
        instead="  if true then",
    ),
    Mutant(
        "flow", "the earliest lease", due.test_a_step_that_dies_beside_one_that_beats_is_noticed,
        instead="      at = math.max(at or lease, lease)",
    ),
    Mutant(
        "flow", "a version has an event",
        ledger.test_the_log_leads_to_the_state_by_snapshot_and_deltas,
        instead="  local events = {unpack(made, 3)}",
    ),
    Mutant(
        "flow", "earlier than the index knows",
        due.test_a_released_step_is_pending_at_once_and_costs_no_attempt, any_order=False,
    ),
    *in_each_write(
        "fence",
        ledger.test_after_the_lease_the_next_worker_gets_the_next_epoch,
        due.test_a_late_release_gives_back_nothing,
        ledger.test_a_result_of_a_worker_that_was_succeeded_is_refused,
        instead="  if not step then",
    ),
    *in_each_write(
        "once",
        ledger.test_a_write_sent_again_changes_nothing_and_returns_the_same_number,
        due.test_a_released_step_is_pending_at_once_and_costs_no_attempt,
        ledger.test_a_commit_whose_reply_was_lost_changes_nothing_when_sent_again,
    ),
    *in_each_write(
        "done, or ended with its flow",
        ledger.test_a_committed_step_is_never_claimed_again,
        due.test_a_late_release_gives_back_nothing,
        ledger.test_a_result_is_never_replaced,
    ),
    Mutant(
        "emit", "deadline", times.test_nothing_is_begun_told_or_put_off_when_the_time_is_over
    ),
    Mutant(
        "emit", "the lease is renewed",
        due.test_a_claimed_flow_is_due_when_its_lease_ends_and_a_beat_moves_that,
    ),
    Mutant(
        "release", "no attempt is counted",
        due.test_a_released_step_is_pending_at_once_and_costs_no_attempt,
    ),
    Mutant(
        "release", "put off, not stopped", steps.test_a_step_counts_how_often_it_was_put_off_not_stopped,
        any_order=False, instead="step.deferrals = (step.deferrals or 0) + 1",
    ),
    Mutant("release", "lost calls", book.test_calls_of_a_step_that_is_given_back_are_lost),
    Mutant(
        "commit", "what it made ready",
        due.test_what_a_commit_made_ready_is_looked_at_although_another_step_beats,
        any_order=False,
    ),
    Mutant("transition", "once", ledger.test_the_end_is_final_and_comes_once),
    Mutant(
        "transition", "another request", times.test_of_two_different_answers_one_is_refused,
    ),
    Mutant("transition", "fence", times.test_of_two_answers_the_first_counts),
    Mutant(
        "transition", "the end is final",
        ledger.test_an_end_is_not_replaced_by_one_that_knew_of_it,
    ),
    Mutant(
        "transition", "what is under way ends",
        book.test_at_the_end_all_calls_under_way_are_lost,
    ),
    Mutant(
        "transition", "never due again", due.test_a_flow_that_ended_is_never_due_again
    ),
    Mutant("add_steps", "once", steps.test_steps_are_added_once, instead="  if true then"),
    Mutant("add_steps", "the end is final", steps.test_a_flow_that_has_ended_gets_no_steps),
    Mutant(
        "reschedule", "deadline",
        times.test_nothing_is_begun_told_or_put_off_when_the_time_is_over,
    ),
    Mutant(
        "flow", "not beyond the deadline",
        times.test_a_flow_is_not_put_off_beyond_the_end_of_its_time, any_order=False,
        instead="  return at",
    ),
    Mutant(
        "reschedule", "it has changed", due.test_a_flow_that_has_changed_since_is_not_put_off,
        any_order=False, instead="if true then",
    ),
    Mutant(
        "record_failure", "once and not after the end",
        due.test_failures_of_a_flow_that_has_ended_are_not_counted, any_order=False,
        instead="if true then",
    ),
    Mutant(
        "delete", "only what has ended", deletion.test_what_has_not_ended_is_not_deleted,
        any_order=False,
    ),
    of_deletion("its expiry"),
    of_deletion("its line in the list"),
    of_deletion("its webhooks"),
    of_deletion("whoever sends them"),
    of_outbox(
        "outbox_lease", "whose lease is not over",
        post.test_what_changes_while_somebody_has_the_flow_is_for_them_and_then_due_soon,
    ),
    of_outbox("outbox_lease", "the epoch", post.test_whoever_held_it_too_long_is_fenced),
    of_outbox(
        "outbox_save", "gone", post.test_a_flow_that_left_does_not_come_again,
        instead="stored = stored or cjson.encode({epoch = args.epoch})\nif false then",
    ),
    of_outbox("outbox_save", "fence", post.test_whoever_held_it_too_long_is_fenced),
    of_outbox(
        "outbox_save", "the lease is kept",
        post.test_what_changes_after_a_lease_was_renewed_is_still_for_who_has_it,
    ),
    of_outbox(
        "outbox_save", "news",
        post.test_what_changes_while_somebody_has_the_flow_is_for_them_and_then_due_soon,
        instead="elseif false then",
    ),
    Mutant(
        "lease", "leased", due.test_of_many_due_flows_no_two_workers_take_the_same,
        any_order=False,
    ),
    Mutant(
        "due", "to the end of the queue", due.test_tenants_come_in_turn_and_none_before_its_turn,
        any_order=False, instead="      local place = int_str(first)",
    ),
    Mutant(
        "due", "who was not served keeps its place",
        due.test_a_tenant_for_which_no_room_was_left_is_the_first_next_time, any_order=False,
    ),
    Mutant(
        "due", "what is beyond the window",
        due.test_more_than_one_look_sees_of_a_tenant_is_due_at_once, any_order=False,
    ),
    Mutant(
        "reserve", "fence",
        book.test_a_worker_that_lost_its_step_reserves_nothing,
    ),
    Mutant("reserve", "done, or ended with its flow", book.test_a_committed_step_reserves_nothing_but_may_settle),
    Mutant("reserve", "once", book.test_sent_again_both_writes_change_nothing),
    Mutant("reserve", "skipped", book.test_calls_of_one_attempt_may_come_in_any_order),
    Mutant(
        "reserve", "deadline",
        book.test_nothing_is_reserved_when_the_time_is_over_but_it_is_settled,
    ),
    Mutant(
        "settle", "corrected once",
        late.test_the_answer_of_a_lost_call_counts_in_place_of_its_bound_once_and_tells_nothing,
    ),
    Mutant(
        "settle", "the end is the last event",
        late.test_after_the_end_an_answer_corrects_the_usage_and_is_no_event,
        instead="  if true then",
    ),
    Mutant("settle", "once", book.test_sent_again_both_writes_change_nothing),
    Mutant(
        "settle", "fence",
        book.test_a_worker_that_lost_its_step_reserves_nothing,
        instead="  local ours = step.epoch",
    ),
    Mutant(
        "settle", "the end is final",
        book.test_at_the_end_all_calls_under_way_are_lost,
    ),
    Mutant("settle", "once", budgets.test_both_sent_again_hold_and_spend_once),
    Mutant(
        "reserve", "what others hold",
        budgets.test_what_others_hold_is_not_given_away_twice, any_order=False,
        instead="      local free = left",
    ),
    Mutant(
        "reserve", "it is held", budgets.test_what_others_hold_is_not_given_away_twice,
        any_order=False,
    ),
    Mutant(
        "reserve", "every budget",
        partial(
            budgets.test_of_several_budgets_all_have_room_or_none_holds_anything, narrow="third"
        ),
        any_order=False,
        instead="      if #accounts == 0 then push(accounts, each) end",
    ),
    Mutant(
        "reserve", "all or nothing", budgets.test_one_call_that_costs_ten_budgets_is_never_made,
        any_order=False,
    ),
    Mutant(
        "reserve", "it holds nothing",
        budgets.test_a_call_that_waits_for_money_holds_and_spends_nothing, any_order=False,
        instead="      worst.state.wanted, worst.state.spent = true, call.bound.cost_nanodollars",
    ),
    Mutant(
        "reserve", "nobody knows what it costs",
        budgets.test_a_model_that_nobody_knows_the_price_of_is_refused, any_order=False,
    ),
    Mutant(
        "money", "it may have been made",
        budgets.test_a_lost_call_is_spent_at_its_bound_until_its_answer_comes, any_order=False,
        instead="    call.used = {lost_calls = 1}; push(lost, call)",
    ),
    Mutant(
        "budgets", "it is spent",
        budgets.test_what_is_held_is_spent_at_its_price_and_the_rest_given_back, any_order=False,
    ),
    Mutant(
        "budgets", "told once", budgets.test_each_alert_is_told_once_in_a_window, any_order=False,
        instead="    if state.spent * 100 >= state.limit * percent then",
    ),
    Mutant(
        "budgets", "who waits hears of it",
        budgets.test_who_waits_hears_of_a_call_that_gives_money_back, any_order=False,
    ),
    Mutant(
        "save_budget", "what waits is due",
        partial(budgets.test_a_flow_that_waits_for_money_is_due_when_a_budget_changes, change="raise"),
        any_order=False,
    ),
    Mutant(
        "record_usage", "counted before", usage.test_a_call_sent_again_counts_once_and_is_told,
        any_order=False,
    ),
    Mutant(
        "money", "the calls before", book.test_many_calls_at_once_are_counted_each_once,
        instead="    rollup.known[field] = added(nil, call.used)",
    ),
    Mutant(
        "money", "all digits", book.test_sums_stay_exact_in_all_their_digits, any_order=False,
        instead="    push(parts, '\"' .. name .. '\":' .. cjson.encode(value))",
    ),
]  # fmt: skip


def test_every_guard_in_the_scripts_has_a_mutant():
    marked = {
        (path.stem, line.partition("-- guard: ")[2])
        for path in calls.FOLDER.glob("*.lua")
        for line in path.read_text().splitlines()
        if "-- guard: " in line
    }
    assert marked == {(mutant.script, mutant.guard) for mutant in MUTANTS}


def named(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
async def test_without_a_guard_its_test_fails(mutant: Mutant, gateway, tmp_path: Path):
    folder = mutant.folder(tmp_path)
    client = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(client, gateway.url, gateway.token, folder, own_keys())
    with pytest.raises(KILLED):
        await mutant.test(flows)


FOUND_SOON = settings(
    max_examples=60,
    report_multiple_bugs=False,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.any_order], ids=named)
def test_without_a_guard_the_machine_finds_a_way_to_break_it(mutant, gateway, tmp_path: Path):
    world = over_gateway(gateway, lua_folder=mutant.folder(tmp_path))
    with world as there, pytest.raises(KILLED):
        played(there, FOUND_SOON)

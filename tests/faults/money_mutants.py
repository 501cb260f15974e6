"""Mutants of the scripts that hold and count money, each with the test that it fails."""

from functools import partial

from core.costs.budget import Scope
from core.costs.windows import Window
from tests.contract import test_budget_changes as changes
from tests.contract import test_budget_webhooks as hooks
from tests.contract import test_budgets as budgets
from tests.contract import test_call_ledger as book
from tests.contract import test_late_answers as late
from tests.contract import test_tenant_prices as prices
from tests.contract import test_usage_book as usage
from tests.contract import test_usage_budgets as elsewhere
from tests.contract import test_waiting_for_money as waiting
from tests.contract.budget_parts import COST
from tests.faults.mutant import Mutant

REFUSES = partial(
    hooks.test_a_hard_budget_that_refuses_a_call_tells_its_address_once_of_each_limit,
    window=Window.DAY,
)

MUTANTS = [
    Mutant(
        "reserve", "fence",
        book.test_a_worker_that_lost_its_step_reserves_nothing,
    ),
    Mutant("reserve", "done, or ended with its flow", book.test_a_committed_step_reserves_nothing_but_may_settle),
    Mutant("reserve", "once", book.test_sent_again_both_writes_change_nothing),
    Mutant("flow", "skipped", book.test_calls_of_one_attempt_may_come_in_any_order),
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
    Mutant(
        "settle", "given up",
        book.test_a_reservation_that_arrives_after_its_call_was_given_up_holds_nothing,
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
        "accounts", "every budget",
        partial(
            budgets.test_of_several_budgets_all_have_room_or_none_holds_anything, narrow="third"
        ),
        any_order=False,
        instead="      if #accounts == 0 then push(accounts, {id = each.id, budget = each.budget, place = place}) end",
    ),
    Mutant(
        "accounts", "each name by itself",
        partial(
            budgets.test_a_budget_for_each_counts_each_by_itself_within_a_flow_too, scope=Scope.AGENT
        ),
        any_order=False,
        instead="      local account = table.concat({each.id, windows[window], window == 'flow' and '' or value}, '|')",
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
        "budgets", "of the other limit",
        hooks.test_alerts_are_told_again_of_a_limit_that_was_changed, any_order=False,
    ),
    Mutant(
        "budgets", "told of once", REFUSES, any_order=False,
        instead="  if not budget.webhook then",
    ),
    Mutant(
        "reserve", "somebody hears of it", REFUSES, any_order=False,
        instead="    local told = false",
    ),
    Mutant(
        "budgets", "who waits hears of it",
        changes.test_who_waits_hears_of_a_call_that_gives_money_back, any_order=False,
    ),
    Mutant(
        "waits", "what waits is due",
        partial(changes.test_a_flow_that_waits_for_money_is_due_when_a_budget_changes, change="raise"),
        any_order=False,
    ),
    Mutant(
        "flow", "what it holds",
        waiting.test_a_step_whose_worker_is_gone_while_its_call_holds_money_is_looked_at,
        any_order=False,
        instead="    if status ~= 'waiting' then",
    ),
    Mutant(
        "flow", "what it holds", waiting.test_a_step_that_holds_no_money_is_not, any_order=False,
        instead="    if status ~= 'waiting' or plan.for_money then",
    ),
    Mutant(
        "transition", "changed meanwhile",
        partial(waiting.test_what_changes_between_a_refusal_and_the_wait_is_not_missed, change=None),
        any_order=False,
    ),
    Mutant(
        "transition", "changed meanwhile",
        partial(
            waiting.test_what_changes_between_a_refusal_and_the_wait_is_not_missed, change="raised"
        ),
        any_order=False,
        instead="    and false",
    ),
    Mutant(
        "settle", "money is back",
        partial(
            waiting.test_a_late_answer_that_gives_money_back_wakes_what_waits,
            cost=COST // 10, woken=["f1"],
        ),
        any_order=False,
    ),
    Mutant(
        "reserve", "by the tenant's prices",
        partial(prices.test_a_call_that_is_priced_by_older_prices_is_not_reserved, limited_by=[]),
        any_order=False,
    ),
    Mutant(
        "save_price", "by old prices",
        partial(prices.test_a_call_that_is_priced_by_older_prices_is_not_reserved, limited_by=[]),
        any_order=False,
    ),
    Mutant(
        "save_budget", "an account is of one scope", changes.test_a_budget_keeps_its_scope,
        any_order=False, instead="  and false",
    ),
    Mutant(
        "transition", "never in a circle", changes.test_and_when_its_window_turns, any_order=False,
        instead="  local wait = args.until_ms",
    ),
    Mutant(
        "budgets", "it is sent now", hooks.test_alerts_are_sent_to_the_address_of_their_budget,
        any_order=False,
    ),
    Mutant(
        "record_usage", "spent elsewhere", elsewhere.test_they_leave_that_much_less_for_crews,
        any_order=False,
    ),
    Mutant(
        "record_usage", "counted before", usage.test_a_call_sent_again_counts_once_and_is_told,
        any_order=False,
    ),
    Mutant(
        "record_usage", "its own batch, sent again",
        usage.test_a_batch_sent_again_gets_the_answer_of_the_first, any_order=False,
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

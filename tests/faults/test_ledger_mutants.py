"""Each guard in the scripts is there for a test: without it, that test fails.

A mutant is a copy of the scripts in which one guard is missing. It still runs: a script that is
refused by the server proves nothing, and fails here. (That a flow is created once has two guards:
the log takes no number twice, so without the other one the server refuses the script.)
"""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from core.adapters.upstash import scripts
from core.adapters.upstash.http import HttpRedis
from core.crews.ledger import ExpiredError, FencedError
from tests.contract import (
    test_budget_book as book,
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
    test_redis_keys as stored,
)
from tests.contract import (
    test_run_ledger as ledger,
)
from tests.faults.test_ledger_machine import over_gateway, played
from tests.fixtures_ports import Flows, over_redis

Story = Callable[[Flows], Awaitable[None]]
KILLED = (AssertionError, pytest.fail.Exception, FencedError, ExpiredError)


@dataclass(frozen=True)
class Mutant:
    """In `script`, `guard` becomes `instead`; that fails `test`, and the machine if `any_order`."""

    name: str
    script: str
    guard: str
    instead: str
    test: Story | None
    any_order: bool = True

    def folder(self, at: Path) -> Path:
        folder = shutil.copytree(scripts.FOLDER, at / "lua")
        script = folder / f"{self.script}.lua"
        text = script.read_text()
        assert text.count(self.guard) == 1, f"the guard of {self.name} is somewhere else now"
        script.write_text(text.replace(self.guard, self.instead))
        return folder


MUTANTS = [
    Mutant(
        "another request takes a flow's id", "create",
        "digest == args.digest and 'same' or 'other'", "'same'",
        ledger.test_another_request_under_the_same_id_is_refused, any_order=False,
    ),
    Mutant(
        "claim: any nonce is the owner's", "claim", " and step.owner == args.owner", "",
        ledger.test_of_twenty_workers_racing_for_a_step_exactly_one_gets_it,
    ),
    Mutant(
        "claim: no nonce is the owner's", "claim",
        "step.state == 'running' and step.owner == args.owner", "false",
        ledger.test_a_claim_whose_reply_was_lost_is_granted_again_as_it_was, any_order=False,
    ),
    Mutant(
        "claim: no fence", "claim", " or step.epoch ~= args.seen", "",
        ledger.test_a_worker_that_read_the_step_before_it_moved_on_is_fenced,
    ),
    Mutant(
        "claim: a step that is done is begun again", "claim", " or step.state == 'done'", "",
        ledger.test_a_committed_step_is_never_claimed_again,
    ),
    Mutant(
        "claim: the end is not final", "claim", "terminal(status) or status == 'waiting'",
        "status == 'waiting'", ledger.test_the_end_is_final_and_comes_once,
    ),
    Mutant(
        "claim: a flow that waits goes on", "claim", " or status == 'waiting'", "",
        times.test_no_step_of_a_flow_that_waits_is_begun,
    ),
    Mutant(
        "claim: no deadline", "claim", "if over(flow[5], now) then", "if false then",
        times.test_nothing_is_begun_told_or_put_off_when_the_time_is_over,
    ),
    Mutant(
        "claim: a lease holds nothing", "claim", " and step.lease > now then", " and false then",
        ledger.test_a_held_step_is_busy_for_as_long_as_its_lease,
    ),
    Mutant(
        "claim: lost calls are forgotten", "claim", "if #gone > 0 then", "if false then",
        book.test_calls_of_a_step_that_is_begun_again_are_lost,
    ),
    Mutant(
        "claim: all calls are lost with one step", "money", "step == nil or call.step == step",
        "true", book.test_a_new_attempt_loses_no_call_of_another_step,
    ),
    Mutant(
        "claim: a new attempt goes on with the old one's numbers", "claim",
        "step.seq, step.last, step.reserved, step.to_come = 0, 0, nil, nil",
        "step.seq, step.last = 0, 0", book.test_a_new_attempt_counts_its_calls_from_one,
    ),
    Mutant(
        "emit: no fence", "emit", "not step or step.epoch ~= args.epoch", "not step",
        ledger.test_after_the_lease_the_next_worker_gets_the_next_epoch,
    ),
    Mutant(
        "emit: no once-guard", "emit", "if args.seq <= step.seq then", "if false then",
        ledger.test_a_write_sent_again_changes_nothing_and_returns_the_same_number,
    ),
    Mutant(
        "emit: the end is not final", "emit", "terminal(flow[1]) or ", "",
        ledger.test_the_end_is_final_and_comes_once,
    ),
    Mutant(
        "emit: a step that is done tells more", "emit", " or step.state ~= 'running'", "",
        ledger.test_a_committed_step_is_never_claimed_again,
    ),
    Mutant(
        "emit: no deadline", "emit", "if over(flow[5], now) then", "if false then",
        times.test_nothing_is_begun_told_or_put_off_when_the_time_is_over,
    ),
    Mutant(
        "commit: no fence", "commit", "not step or step.epoch ~= args.epoch", "not step",
        ledger.test_a_result_of_a_worker_that_was_succeeded_is_refused,
    ),
    Mutant(
        "commit: no once-guard", "commit", "if args.seq <= step.seq then", "if false then",
        ledger.test_a_commit_whose_reply_was_lost_changes_nothing_when_sent_again, any_order=False,
    ),
    Mutant(
        "commit: a result is replaced", "commit", " or step.state ~= 'running'", "",
        ledger.test_a_result_is_never_replaced,
    ),
    Mutant(
        "commit: the end is not final", "commit", "terminal(flow.status) or ", "",
        ledger.test_the_end_is_final_and_comes_once,
    ),
    Mutant(
        "transition: no once-guard", "transition", "if status == args.to and epoch == args.epoch + 1 then",
        "if false then", ledger.test_the_end_is_final_and_comes_once,
    ),
    Mutant(
        "transition: no fence", "transition", " or epoch ~= args.epoch", "",
        times.test_of_two_answers_the_first_counts,
    ),
    Mutant(
        "transition: the end is not final", "transition", "terminal(status) or ", "",
        ledger.test_an_end_is_not_replaced_by_one_that_knew_of_it,
    ),
    Mutant(
        "transition: calls under way are forgotten at the end", "transition", "if terminal(args.to) then\n  gone",
        "if false then\n  gone", book.test_at_the_end_all_calls_under_way_are_lost_for_good,
    ),
    Mutant(
        "transition: a flow that ended stays due", "transition", "redis.call('ZREM', KEYS[4], args.flow)",
        "", due.test_a_flow_that_ended_is_never_due_again,
    ),
    Mutant(
        "add_steps: a step is added twice", "add_steps", "if not flow[field] then", "if true then",
        steps.test_steps_are_added_once,
    ),
    Mutant(
        "add_steps: the end is not final", "add_steps", "if terminal(flow.status) then", "if false then",
        steps.test_a_flow_that_has_ended_gets_no_steps,
    ),
    Mutant(
        "reschedule: no deadline", "reschedule", "if over(deadline, now) then", "if false then",
        times.test_nothing_is_begun_told_or_put_off_when_the_time_is_over,
    ),
    Mutant(
        "reschedule: beyond the deadline", "reschedule", "math.min(at, deadline or at)", "at",
        times.test_a_flow_is_not_put_off_beyond_the_end_of_its_time, any_order=False,
    ),
    Mutant(
        "take: a flow is taken twice", "take", "if #due > 0 then", "if false then",
        due.test_of_many_due_flows_no_two_workers_take_the_same, any_order=False,
    ),
    Mutant(
        "reserve: no fence", "reserve", " or step.epoch ~= call.epoch", "",
        book.test_a_lost_call_cannot_be_settled_and_its_worker_reserves_nothing,
    ),
    Mutant(
        "reserve: the end is not final", "reserve", " or terminal(flow[1])", "",
        book.test_at_the_end_all_calls_under_way_are_lost_for_good,
    ),
    Mutant(
        "reserve: a step that is done begins calls", "reserve", " or step.state ~= 'running'", "",
        book.test_a_committed_step_reserves_nothing_but_may_settle,
    ),
    Mutant(
        "reserve: no once-guard", "reserve", "if not fresh then", "if false then",
        book.test_sent_again_both_writes_change_nothing,
    ),
    Mutant(
        "reserve: a number that was passed over never comes", "reserve",
        "    fresh = true\n", "    fresh = fresh\n",
        book.test_calls_of_one_attempt_may_come_in_any_order,
    ),
    Mutant(
        "reserve: no deadline", "reserve", "if flow[2] and over(flow[2], now_ms()) then",
        "if false then",
        book.test_nothing_is_reserved_when_the_time_is_over_but_it_is_settled,
    ),
    Mutant(
        "settle: no once-guard", "settle", "call.used, calls[args.id] = args.used, nil",
        "call.used = args.used", book.test_sent_again_both_writes_change_nothing,
    ),
    Mutant(
        "settle: no fence", "settle", "step and step.epoch == args.epoch", "step",
        book.test_a_lost_call_cannot_be_settled_and_its_worker_reserves_nothing,
    ),
    Mutant(
        "settle: the end is not final", "settle", " and not terminal(flow[1])", "",
        book.test_at_the_end_all_calls_under_way_are_lost_for_good,
    ),
    Mutant(
        "the roll-up forgets the calls before", "money", "added(known,", "added(nil,",
        book.test_many_calls_at_once_are_counted_each_once,
    ),
    Mutant(
        "money is rounded", "money", "whole(value)", "cjson.encode(value)",
        book.test_sums_stay_exact_in_all_their_digits, any_order=False,
    ),
    Mutant(
        "append: a version without an event", "prelude", "for i, event in ipairs(events) do",
        "for i, event in ipairs({unpack(events, 2)}) do",
        ledger.test_the_log_leads_to_the_state_by_snapshot_and_deltas,
    ),
]  # fmt: skip


def named(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
async def test_without_a_guard_its_test_fails(mutant: Mutant, gateway, tmp_path: Path):
    folder = mutant.folder(tmp_path)
    client = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(client, gateway.url, gateway.token, folder)
    assert mutant.test is not None
    with pytest.raises(KILLED):
        await mutant.test(flows)


async def test_without_a_look_at_the_day_money_is_counted_on_the_wrong_one(gateway, tmp_path: Path):
    mutant = Mutant(
        "any day", "money", "math.floor(now / DAY_MS) ~= args.day", "false", test=None
    )  # fmt: skip
    with pytest.raises(AssertionError):
        await stored.money_is_counted_on_redis_day(gateway, mutant.folder(tmp_path))


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

"""Mutants of the scripts that change flows and send their webhooks, each with the test that it fails."""

from collections.abc import Awaitable, Callable

from tests.contract import test_call_ledger as book
from tests.contract import test_delete as deletion
from tests.contract import test_journals as journals
from tests.contract import test_ledger_claims as claims
from tests.contract import test_ledger_due as due
from tests.contract import test_ledger_given_back as given_back
from tests.contract import test_ledger_starting as starting
from tests.contract import test_ledger_steps as steps
from tests.contract import test_ledger_time as times
from tests.contract import test_outbox as post
from tests.contract import test_redis_keys as kept
from tests.contract import test_run_ledger as ledger
from tests.faults.mutant import Mutant, Story
from tests.fixtures_ports import Flows


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
        "announce_start", "it has begun",
        starting.test_a_flow_that_has_begun_says_nothing_of_a_worker_that_starts, any_order=False,
    ),
    Mutant(
        "announce_start", "told before", starting.test_wake_ups_that_come_again_say_it_once,
        any_order=False,
    ),
    Mutant(
        "claim", "claimed before",
        claims.test_a_claim_whose_reply_was_lost_is_granted_again_as_it_was, any_order=False,
    ),
    Mutant(
        "claim", "the owner's nonce",
        claims.test_of_twenty_workers_racing_for_a_step_exactly_one_gets_it,
    ),
    Mutant(
        "claim", "fence", claims.test_a_worker_that_read_the_step_before_it_moved_on_is_fenced
    ),
    Mutant("claim", "done", claims.test_a_committed_step_is_never_claimed_again),
    Mutant("claim", "the end is final", ledger.test_the_end_is_final_and_comes_once),
    Mutant("claim", "a flow that waits", times.test_no_step_of_a_flow_that_waits_is_begun),
    Mutant(
        "claim", "deadline", times.test_nothing_is_begun_told_or_put_off_when_the_time_is_over
    ),
    Mutant("claim", "busy", claims.test_a_held_step_is_busy_for_as_long_as_its_lease),
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
        given_back.test_a_released_step_is_pending_at_once_and_costs_no_attempt, any_order=False,
    ),
    *in_each_write(
        "fence",
        claims.test_after_the_lease_the_next_worker_gets_the_next_epoch,
        given_back.test_a_late_release_gives_back_nothing,
        claims.test_a_result_of_a_worker_that_was_succeeded_is_refused,
        instead="  if not step then",
    ),
    *in_each_write(
        "once",
        ledger.test_a_write_sent_again_changes_nothing_and_returns_the_same_number,
        given_back.test_a_released_step_is_pending_at_once_and_costs_no_attempt,
        ledger.test_a_commit_whose_reply_was_lost_changes_nothing_when_sent_again,
    ),
    *in_each_write(
        "done, or ended with its flow",
        claims.test_a_committed_step_is_never_claimed_again,
        given_back.test_a_late_release_gives_back_nothing,
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
        given_back.test_a_released_step_is_pending_at_once_and_costs_no_attempt,
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
        "transition", "another transition", times.test_of_two_different_answers_one_is_refused,
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
    Mutant(
        "commit", "its result says all",
        journals.test_the_journal_of_a_step_that_is_done_is_gone, any_order=False,
    ),
    Mutant("transition", "no step goes on", journals.test_the_journals_of_a_flow_that_failed_end_with_it, any_order=False),
    Mutant("keep_entries", "fence", journals.test_who_lost_a_step_keeps_nothing_of_it, any_order=False),
    Mutant("keep_entries", "given back, done, or ended with its flow", journals.test_who_gave_a_step_back_keeps_nothing_of_it, any_order=False),
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
        given_back.test_failures_of_a_flow_that_has_ended_are_not_counted, any_order=False,
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
]  # fmt: skip

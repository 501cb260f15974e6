"""Mutants of the scripts that keep feedback, each with the test that it fails."""

from collections.abc import Awaitable, Callable

import pytest

from tests.contract import test_feedback_leases as leases
from tests.contract import test_feedback_log as feedback
from tests.contract import test_feedback_tasks as tasks
from tests.contract.feedback_parts import Log
from tests.faults.mutant import Mutant, Story
from tests.fixtures_ports import Flows


def of_feedback(test: Callable[[Log], Awaitable[None]]) -> Story:
    """Return a test of the feedback log as one of all ports."""

    async def story(flows: Flows) -> None:
        await test(Log(flows.feedback))

    return story


def too_many(name: str) -> Story:
    """Return the test of a bound of tasks."""
    test = tasks.test_what_agents_say_begins_half_of_the_tasks_so_that_people_can_begin_others

    async def story(flows: Flows) -> None:
        with pytest.MonkeyPatch.context() as changed:
            await test(Log(flows.feedback), changed, name)

    return story


def forgotten(subject: str | None) -> Story:
    """Return the test that ids are forgotten with their subject, or with all of the task."""

    async def story(flows: Flows) -> None:
        log = Log(flows.feedback)
        await feedback.test_what_was_forgotten_is_said_again_under_the_same_id(log, subject)

    return story


MUTANTS = [
    Mutant(
        "add_feedback", "there before",
        of_feedback(feedback.test_an_id_counts_once_however_often_it_is_sent), any_order=False,
    ),
    Mutant(
        "add_feedback", "tasks that wait", too_many("MOST_TASKS"), any_order=False,
    ),
    Mutant(
        "add_feedback", "tasks in all", too_many("MOST_LISTED"), any_order=False,
    ),
    Mutant(
        "trim_feedback", "is not going",
        of_feedback(tasks.test_a_task_that_a_retraining_trims_while_it_is_forgotten_frees_its_place),
        any_order=False, instead="if redis.call('XLEN', FEEDBACK) == 0 then",
    ),
    Mutant(
        "unlist_feedback", "nothing was said since",
        of_feedback(tasks.test_a_task_of_which_something_is_said_while_it_is_forgotten_keeps_its_place),
        any_order=False, instead="if true then",
    ),
    Mutant(
        "forget_feedback", "leased now",
        of_feedback(leases.test_a_task_that_is_to_forget_is_left_to_who_retrains_it_and_due_at_once_when_he_ends),
        any_order=False, instead="if true then",
    ),
    Mutant(
        "release_feedback", "its own lease",
        of_feedback(leases.test_who_has_slept_past_his_lease_releases_nobody_elses), any_order=False,
    ),
    Mutant(
        "release_feedback", "forgets at once",
        of_feedback(leases.test_a_task_that_is_to_forget_is_left_to_who_retrains_it_and_due_at_once_when_he_ends),
        any_order=False,
    ),
    Mutant(
        "release_feedback", "came meanwhile",
        of_feedback(leases.test_a_task_with_new_feedback_is_leased_by_one_until_it_is_released),
        any_order=False, instead="elseif false then",
    ),
    Mutant(
        "add_feedback", "forgotten with the task", forgotten(None), any_order=False,
        instead="if true then",
    ),
    Mutant("forget_feedback", "its ids", forgotten("ana"), any_order=False),
    Mutant(
        "feedback_forgotten", "asked again since",
        of_feedback(feedback.test_a_subject_that_is_to_be_forgotten_anew_stays_to_be_forgotten),
        any_order=False, instead="if true then",
    ),
    Mutant(
        "lease_feedback", "leased to one",
        of_feedback(leases.test_a_task_with_new_feedback_is_leased_by_one_until_it_is_released),
        any_order=False,
    ),
    Mutant(
        "forget_feedback", "at once",
        of_feedback(leases.test_a_task_that_is_to_forget_is_leased_at_once), any_order=False,
    ),
]  # fmt: skip

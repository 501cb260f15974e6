"""Mutants of the scripts that record what came of trials, each with the test that it fails."""

from functools import partial

from tests.contract import test_trials as trials
from tests.contract import test_trials_changed as changed
from tests.faults.mutant import Mutant, Story


def of(script: str, guard: str, test: Story) -> Mutant:
    return Mutant(script, guard, test, any_order=False)


UNCHECKED = trials.test_answers_that_nothing_checks_never_show_that_a_model_is_as_good_but_people_do

MUTANTS = [
    of("trials", "unchecked answers show nothing", UNCHECKED),
    of("trials", "the crew checks it no more", UNCHECKED),
    of(
        "trials",
        "one of its arms is another model now",
        partial(
            changed.test_a_trial_ends_where_the_model_in_use_is_another_one_now, tells="the answer"
        ),
    ),
    of("trials", "once", trials.test_a_person_s_first_word_counts_beside_the_answer),
    of(
        "trials",
        "an earlier trial, or over",
        trials.test_what_comes_late_of_an_earlier_trial_does_not_count_in_the_next,
    ),
    of(
        "record_outcomes",
        "a hash that nobody would remove",
        trials.test_feedback_counts_for_flows_that_are_over_and_costs_others_nothing,
    ),
    of("start_trial", "sent again", trials.test_a_trial_is_kept_as_it_was_given),
    of(
        "start_trial",
        "what it is compared with",
        partial(trials.test_where_another_model_was_chosen_meanwhile_no_trial_begins, chosen=None),
    ),
    of(
        "stop_trial",
        "over",
        trials.test_a_trial_that_was_stopped_has_no_verdict_and_takes_no_flows,
    ),
    of(
        "choose_model",
        "its arms would be others",
        trials.test_a_trial_that_ends_well_changes_no_model_until_somebody_does,
    ),
]

"""What tries that failed cost in vain is recorded with the call that follows them."""

from core.costs.usage import Usage
from core.crews.tries import Tries, is_unattended
from core.flows import events

REFUSED, REPEATED = events.custom("answer_refused", {}), events.custom("model_call_repeated", {})
FAILED = events.custom("step_failed", {"retries_left": 1})


def called(tries: Tries, cost: int, facts: dict[str, int] | None = None) -> dict[str, int]:
    tries.called("m")
    return tries.facts(Usage(1, 100, 10, cost), facts or {})


def test_an_answer_is_begun_once_however_many_calls_it_takes():
    tries = Tries()
    assert [called(tries, 5), called(tries, 5)] == [{"tries": 1}, {}]


def test_all_calls_for_an_answer_that_was_refused_were_made_in_vain():
    tries = Tries()
    called(tries, 5)
    called(tries, 7)
    tries.heard(REFUSED)
    assert called(tries, 9) == {
        "tries": 1, "tries_again": 1, "wasted_refused_n": 2, "wasted_refused_cost": 12,
    }  # fmt: skip
    assert called(tries, 9) == {}


def test_a_call_that_is_made_again_was_made_in_vain_alone():
    tries = Tries()
    called(tries, 5)
    called(tries, 7)
    tries.heard(REPEATED)
    assert called(tries, 9) == {"wasted_error_n": 1, "wasted_error_cost": 7}
    tries.heard(REFUSED)
    assert called(tries, 1)["wasted_refused_cost"] == 5 + 9


def test_a_call_that_failed_without_an_answer_wastes_nothing_of_the_one_before():
    tries = Tries()
    called(tries, 5)
    tries.called("m")
    tries.heard(REPEATED)
    assert called(tries, 9) == {}


def test_a_failed_attempt_wastes_what_the_refusals_before_did_not():
    tries = Tries()
    called(tries, 5)
    tries.heard(REFUSED)
    called(tries, 7)
    tries.heard(FAILED)
    facts = called(tries, 9, {"repeats": 1, "repeats_cost": 9})
    assert facts == {"tries": 1, "tries_again": 1, "wasted_retry_n": 1, "wasted_retry_cost": 7}


def test_a_step_that_fails_for_good_tells_what_its_last_try_cost():
    tries = Tries()
    called(tries, 5)
    tries.heard(REFUSED)
    called(tries, 7)
    tries.heard(REFUSED)
    assert tries.given_up() == ("m", {"wasted_refused_n": 1, "wasted_refused_cost": 7})
    called(tries, 9)
    assert tries.given_up() == ("m", {"wasted_failed_n": 1, "wasted_failed_cost": 9})
    assert tries.given_up() == ("m", {})


def test_an_answer_that_a_person_sent_back_was_begun_again():
    assert called(Tries(is_revision=True), 5) == {"tries": 1, "tries_again": 1}


def test_what_quality_a_task_requires_is_told_unless_it_is_the_usual_one():
    assert called(Tries(quality="critical"), 5) == {"tries": 1, "quality_critical": 1}
    assert called(Tries(quality="high"), 5) == {"tries": 1}


def test_what_a_step_asks_again_after_its_worker_died_is_no_duplicate():
    assert called(Tries(is_resumed=True), 9, {"repeats": 1, "out_n_4": 1}) == {
        "tries": 1, "out_n_4": 1,
    }  # fmt: skip
    assert called(Tries(), 9, {"repeats": 1}) == {"tries": 1, "repeats": 1}


def test_a_call_that_is_made_again_is_no_duplicate_and_the_one_after_it_may_be():
    tries = Tries()
    called(tries, 5)
    tries.heard(REPEATED)
    assert "repeats" not in called(tries, 5, {"repeats": 1})
    assert "repeats" in called(tries, 5, {"repeats": 1})


def test_tries_are_told_by_the_effort_they_were_made_with():
    tries = Tries()
    assert called(tries, 5, {"effort_low_n": 1})["effort_low_tries"] == 1
    tries.heard(REFUSED)
    assert called(tries, 5, {"effort_high_n": 1})["effort_high_again"] == 1


def test_the_usage_of_calls_that_nobody_waits_for_is_told_apart():
    assert called(Tries(is_checked=True), 5) == {"tries": 1, "tries_checked": 1}
    assert is_unattended({"crew": "https://example.org"})
    assert not is_unattended({"crew": "https://example.org", "step": "https://example.org"})
    assert not is_unattended({})
    facts = called(Tries(is_unattended=True), 5)
    assert facts == {
        "tries": 1, "late_n": 1, "late_input_tokens": 100, "late_output_tokens": 10,
        "late_cost_nanodollars": 5,
    }  # fmt: skip

"""The test of a trial: right however it is looked at, for binary and graded outcomes."""

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.costs.trials import BETS, ERROR, MOST_WAITING, Arm, Comparison, Evidence, Signal, Verdict

QUALITIES = st.sampled_from([0.0, 0.5, 1.0])
OUTCOMES = st.lists(st.tuples(st.sampled_from(Arm), QUALITIES), max_size=60)


def ended(evidence: Evidence, outcomes: Iterator[tuple[Arm, float]]) -> Evidence:
    """Return the evidence when the trial ends."""
    while evidence.verdict is None:
        arm, quality = next(outcomes)
        evidence = evidence.add(Signal.ANSWERS, arm, quality)
    return evidence


def outcomes(
    chance: random.Random, in_use: Callable[[], float], cheaper: Callable[[], float]
) -> Iterator[tuple[Arm, float]]:
    """Yield outcomes of both arms in any order, without end."""
    while True:
        if chance.random() < 0.5:
            yield Arm.IN_USE, in_use()
        else:
            yield Arm.CHEAPER, cheaper()


def ends(quality: float, lower_by: float, trials: int = 60) -> list[Evidence]:
    """Return how trials end in which the cheaper model is good this much less often."""
    chance = random.Random(7)

    def good(share: float) -> Callable[[], float]:
        return lambda: float(chance.random() < share)

    return [
        ended(Evidence(), outcomes(chance, good(quality), good(quality - lower_by)))
        for _ in range(trials)
    ]


def test_a_model_that_is_as_good_is_found_to_be() -> None:
    verdicts = [each.verdict for each in ends(0.95, 0.0)]
    assert verdicts.count(Verdict.AS_GOOD) >= 55


def test_a_model_that_is_worse_is_found_to_be() -> None:
    verdicts = [each.verdict for each in ends(0.95, 0.1)]
    assert verdicts.count(Verdict.WORSE) >= 55


def test_one_that_answers_nothing_is_stopped_within_a_score_of_pairs() -> None:
    for evidence in ends(0.95, 0.95, trials=20):
        assert evidence.verdict is Verdict.WORSE
        assert evidence.answers.cheaper.outcomes <= 20


def test_a_trial_that_cannot_tell_ends_undecided_at_its_largest_size() -> None:
    chance = random.Random(3)
    coins = outcomes(chance, chance.random, chance.random)
    evidence = ended(Evidence(margin=0.001, most=300), coins)
    assert evidence.verdict is Verdict.UNDECIDED
    assert evidence.answers.outcomes == 300


def test_graded_outcomes_are_told_apart_by_their_means() -> None:
    chance = random.Random(5)
    graded = outcomes(chance, lambda: 1.0, lambda: chance.choice([0.5, 1.0]))
    assert ended(Evidence(), graded).verdict is Verdict.WORSE


def mean_gain(differences: list[tuple[float, float]], margin: float) -> tuple[float, float]:
    """Return how many times both capitals grow on average by a pair of this distribution."""
    one = Comparison()
    grown = [
        (share, one.add(Arm.IN_USE, 0.5 - d / 2, margin).add(Arm.CHEAPER, 0.5 + d / 2, margin))
        for share, d in differences
    ]
    equal = sum(share * sum(each.against_equal) for share, each in grown)
    worse = sum(share * sum(each.against_worse) for share, each in grown)
    return equal, worse


@given(st.floats(0.01, 0.99), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.5))
def test_no_bet_gains_on_average_where_its_claim_holds(
    share: float, up: float, down: float, margin: float
) -> None:
    differences = [(share, up), (1 - share, -down)]
    mean = share * up - (1 - share) * down
    equal, worse = mean_gain(differences, margin)
    if mean >= 0:
        assert equal <= 1 + 1e-9
    if mean <= -margin:
        assert worse <= 1 + 1e-9


@given(OUTCOMES)
def test_pairs_are_made_in_order_whichever_arm_is_ahead(told: list[tuple[Arm, float]]) -> None:
    comparison, of_arms = Comparison(), dict[Arm, list[float]]({arm: [] for arm in Arm})
    for arm, quality in told:
        comparison = comparison.add(arm, quality, 0.05)
        of_arms[arm].append(quality)
    expected = [1 / len(BETS) for _ in BETS]
    for in_use, cheaper in zip(of_arms[Arm.IN_USE], of_arms[Arm.CHEAPER], strict=False):
        factors = [1 - bet * (cheaper - in_use) for bet in BETS]
        expected = [kept * factor for kept, factor in zip(expected, factors, strict=True)]
    assert comparison.against_equal == pytest.approx(expected)
    assert comparison.outcomes == len(told)


def test_what_people_say_alone_can_stop_a_trial() -> None:
    evidence = Evidence()
    for _ in range(40):
        evidence = evidence.add(Signal.PEOPLE, Arm.IN_USE, 1.0)
        evidence = evidence.add(Signal.PEOPLE, Arm.CHEAPER, 0.0)
    assert evidence.verdict is Verdict.WORSE
    assert evidence.answers.outcomes == 0


def test_answers_that_are_as_good_do_not_outweigh_people_who_say_they_are_not() -> None:
    evidence = Evidence(most=100_000)
    for quality in (1.0, 1.0, 0.0):
        evidence = evidence.add(Signal.PEOPLE, Arm.IN_USE, 1.0)
        evidence = evidence.add(Signal.PEOPLE, Arm.CHEAPER, quality)
    for _ in range(400):
        evidence = evidence.add(Signal.ANSWERS, Arm.IN_USE, 1.0)
        evidence = evidence.add(Signal.ANSWERS, Arm.CHEAPER, 1.0)
    assert evidence.of_as_good * ERROR >= 1
    assert evidence.verdict is None


def test_outcomes_that_wait_for_the_other_arm_are_bounded() -> None:
    comparison = Comparison()
    for _ in range(MOST_WAITING + 5):
        comparison = comparison.add(Arm.IN_USE, 1.0, 0.05)
    assert len(comparison.waiting) == comparison.outcomes == MOST_WAITING

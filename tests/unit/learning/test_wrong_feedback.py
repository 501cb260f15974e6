"""Concepts, which move where people change their minds, and trust, for which wrong feedback counts little."""

import random

import numpy as np
import pytest

from core.learning.learner.concepts import Concepts
from core.learning.learner.trust import DOUBTED, Trust


def taught(concepts: Concepts, times: int = 40) -> None:
    for turn in range(times):
        concepts.observe(1, "lat", f"u{turn % 5}")


def test_a_concept_moves_after_a_few_say_so_and_not_before():
    concepts = Concepts(["lat", "lon"])
    taught(concepts)
    moved = [concepts.observe(1, "lon", f"u{turn % 5}") for turn in range(6)]
    assert sum(moved) == 1
    assert not any(moved[:2])
    assert concepts.table == ("lon", "lon")


def test_a_concept_is_not_moved_by_mistakes_of_one_in_five():
    """That so much of all feedback is wrong and names the same is known from what came before."""
    draw = random.Random(3)
    for _ in range(20):
        concepts, trust = Concepts(["a"]), Trust()
        for turn in range(500):
            action, source = ("b" if draw.random() < 0.2 else "a"), f"u{turn % 5}"
            concepts.observe(1, action, source, expected=trust.usual(action))
            trust.weigh(source, action, contradicts=action != "a")
        assert concepts.table == ("a",)


def moves_after(**known: float) -> int:
    """Return after how many feedbacks that agree on another action a concept moves."""
    concepts = Concepts(["lat"])
    taught(concepts)
    return [concepts.observe(1, "lon", f"u{turn}", **known) for turn in range(60)].index(True) + 1


def test_a_concept_moves_the_later_the_less_a_feedback_says_for_it():
    assert moves_after() == 3
    assert moves_after(expected=0.2) == 5  # as where a fifth of all feedback names this action
    assert moves_after(sure=0.3) == 5  # of contexts that may well be of another concept
    with pytest.raises(ValueError, match="not in list"):
        moves_after(sure=0.3, expected=0.4)


def test_one_source_alone_moves_no_concept_that_others_taught():
    concepts = Concepts(["lat"])
    taught(concepts)
    assert not any(concepts.observe(1, "lon", "mallory") for _ in range(1000))
    concepts = Concepts(["lat"])
    taught(concepts)
    assert not any(concepts.observe(1, "lon", "bo") for _ in range(5))
    assert any(concepts.observe(1, "lon", source) for source in ("ana", "eve", "joe"))


def test_a_source_that_is_the_only_one_moves_its_concepts():
    concepts = Concepts(["lat"])
    for _ in range(40):
        concepts.observe(1, "lat", "ana")
    assert any(concepts.observe(1, "lon", "ana") for _ in range(10))


def test_concepts_that_come_to_mean_the_same_share_an_action():
    concepts = Concepts(["a", "b", "a"])
    shares = concepts.by_action(np.array([0.1, 0.3, 0.2, 0.4], np.float32))
    assert dict(zip(concepts.actions, shares.tolist(), strict=True)) == pytest.approx(
        {"a": 0.7, "b": 0.2}
    )
    assert concepts.of("a") == [1, 3]
    assert concepts.of("unknown") == []


def after(trust: Trust, feedback: list[tuple[str, str, bool]]) -> float:
    """Tell how far the last of some feedback is believed."""
    return [trust.weigh(source, action, contradicts=no) for source, action, no in feedback][-1]


def test_a_source_that_contradicts_far_more_than_others_is_believed_little_however_much_it_says():
    good = [(f"u{n % 9}", f"a{n % 7}", n % 20 == 0) for n in range(300)]
    bad = [("mallory", f"a{n % 7}", True) for n in range(1000)]
    trust = Trust()
    assert after(trust, good) == 1
    assert after(trust, bad) == DOUBTED
    assert after(trust, [("u1", "a1", True)]) == 1
    assert after(trust, [("mallory", "a1", False)]) == 1


def test_an_action_that_has_most_of_what_contradicts_is_believed_little():
    good = [(f"u{n % 9}", f"a{n % 7}", n % 20 == 0) for n in range(300)]
    bad = [(f"u{n % 9}", "lon", True) for n in range(60)]
    assert after(Trust(), good + bad) == DOUBTED


def test_so_is_an_action_that_is_often_right_as_well():
    """It has a third of what agrees and four fifths of what contradicts."""
    of_twenty = [("street", False)] * 5 + [("lon", False)] * 10 + [("street", True)] * 4
    said = [*of_twenty, ("lat", True)] * 30
    flood = [(f"u{n % 9}", action, no) for n, (action, no) in enumerate(said)]
    assert after(Trust(), [*flood, ("u1", "street", True)]) == DOUBTED
    assert after(Trust(), [*flood, ("u1", "lat", True)]) == 1


def test_a_source_that_is_alone_is_believed_however_often_it_contradicts():
    alone = [("ana", f"a{n % 7}", n % 2 == 0) for n in range(301)]
    assert after(Trust(), alone) == 1


def test_a_source_that_the_others_have_left_alone_is_believed_in_the_end():
    good = [(f"u{n % 9}", f"a{n % 7}", n % 20 == 0) for n in range(300)]
    alone = [("ana", f"a{n % 7}", True) for n in range(10_000)]
    assert after(Trust(), good + alone) == 1


def test_what_is_kept_of_sources_is_bounded():
    trust = Trust()
    after(trust, [(f"u{n}", "a", True) for n in range(10_000)])
    assert len(trust._records) <= 3000

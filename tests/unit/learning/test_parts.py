"""The parts of a learner: experts, mixture, calibration, memory, neighbours."""

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInputError
from core.learning.learner.bayes import Bayes
from core.learning.learner.calibration import WINDOW, Calibration, isotonic
from core.learning.learner.linear import REMEMBERED, Example, Linear
from core.learning.learner.mixture import Mixture
from core.learning.learner.neighbours import Neighbours
from core.learning.learner.terms import BUCKETS
from core.learning.patterns import Kind, Memory, Pattern, Source

ANA, BO = Source(Kind.USER, "ana"), Source(Kind.USER, "bo")


def table() -> Any:
    return np.zeros((BUCKETS, 1), np.float32)


def example(column: int, *buckets: int, weight: float = 1.0, number: int = -1) -> Example:
    values = np.full(len(buckets), len(buckets) ** -0.5, np.float32)
    return Example(np.array(buckets, np.int64), values, column, weight, number)


@pytest.fixture(params=[Linear, Bayes])
def expert(request: pytest.FixtureRequest):
    made = request.param(table())
    made.add_column()
    made.add_column()
    return made


def scores(expert: Linear | Bayes, *buckets: int) -> list[float]:
    asked = example(0, *buckets)
    return expert.scores(asked.buckets, asked.values).tolist()


def test_an_expert_prefers_what_was_right_with_such_terms(expert: Linear | Bayes):
    for _ in range(10):
        expert.learn(example(1, 5, 6))
        expert.learn(example(2, 6, 7))
    assert np.argmax(scores(expert, 5)[1:]) == 0
    assert np.argmax(scores(expert, 7)[1:]) == 1


def test_a_concept_that_is_new_does_not_outdo_what_was_learnt(expert: Linear | Bayes):
    for _ in range(10):
        expert.learn(example(1, 5, 6))
        expert.learn(example(2, 6, 7))
    expert.add_column()
    assert int(np.argmax(scores(expert, 5)[1:])) == 0
    assert len(scores(expert, 5)) == 4


def test_more_concepts_than_there_was_room_for_keep_what_was_learnt(expert: Linear | Bayes):
    expert.learn(example(1, 5, 6))
    before = scores(expert, 5, 9)
    for _ in range(40):
        expert.add_column()
    assert scores(expert, 5, 9)[:3] == pytest.approx(before)


def test_taking_a_count_back_leaves_naive_bayes_as_it_was():
    bayes = Bayes(table())
    bayes.add_column()
    bayes.learn(example(1, 5, 6))
    before = scores(bayes, 5, 7)
    bayes.learn(example(1, 5, 7, weight=0.5))
    bayes.learn(example(1, 5, 7, weight=-0.5))
    assert scores(bayes, 5, 7) == pytest.approx(before, abs=1e-5)
    assert bayes.counts.min() >= 0


def test_what_is_trained_again_is_bounded_and_leaves_out_what_was_taken_back():
    linear = Linear(table())
    linear.add_column()
    for number in range(REMEMBERED + 50):
        linear.learn(example(1, number % 50, number=number))
    assert len(linear.examples) == REMEMBERED
    kept = linear.examples[7].number
    linear.forget([kept])
    assert kept not in {one.number for one in linear.examples}


def test_the_mixture_follows_the_expert_that_errs_less():
    mixture = Mixture(np.zeros(2))
    opinions = np.log(np.array([[0.9, 0.1], [0.1, 0.9]], np.float32))
    for _ in range(50):
        mixture.observe(opinions, 1)
    assert mixture.mixed(opinions).argmax() == 1
    for _ in range(200):
        mixture.observe(opinions, 0)
    assert mixture.mixed(opinions).argmax() == 0
    assert np.exp(mixture.mixed(opinions)).sum() == pytest.approx(1)


def test_confidence_is_how_often_such_scores_were_right():
    calibration, draw = Calibration(), random.Random(1)
    for _ in range(WINDOW):
        score = draw.choice([0.5, 0.99])
        calibration.observe(score, right=draw.random() < (0.2 if score == 0.5 else 0.7))
    assert calibration.confidence(0.5) == pytest.approx(0.2, abs=0.07)
    assert calibration.confidence(0.99) == pytest.approx(0.7, abs=0.07)


def test_nothing_is_sure_before_anything_was_seen():
    assert Calibration().confidence(1.0) == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60))
def test_steps_rise_and_are_probabilities_for_any_past(past: list[tuple[float, bool]]):
    places, rates = isotonic(past)
    assert (np.diff(places) >= 0).all()
    assert (np.diff(rates) >= 0).all()
    assert (rates >= 0).all()
    assert (rates <= 1).all()
    assert Calibration(past).past == past


def words_of(memory: Memory, *said: tuple[int, str]) -> None:
    for context, action in said:
        memory.keep(bytes([context] * 16), action, ANA, 1.0)


def test_memory_forgets_what_was_neither_said_nor_used_for_the_longest_time():
    memory = Memory(capacity=20)
    words_of(memory, *((number, "a") for number in range(20)))
    memory.use(0)
    words_of(memory, (20, "a"))
    assert 0 in memory
    assert 1 not in memory
    assert len(memory) == 20


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from("ab"), st.sampled_from([ANA, BO])),
        max_size=80,
    )
)
def test_memory_holds_one_word_of_a_source_on_a_context_and_never_too_many(said: list[Any]):
    memory, kept = Memory(capacity=8), set[int]()
    for context, action, source in said:
        one, gone = memory.keep(bytes([context] * 16), action, source, 1.0)
        kept = kept - {other.number for other in gone} | {one.number}
        assert memory.word(one.digest, source) == one
        assert len(memory) <= 8
    assert {one.number for one in memory} == kept
    assert len({(one.digest, one.source) for one in memory}) == len(memory)


def test_on_a_context_a_user_is_heard_before_an_outcome_and_the_newer_of_equals():
    memory, context = Memory(), b"x" * 16
    memory.keep(context, "outcome's", Source(Kind.OUTCOME), 0.5)
    memory.keep(context, "ana's", ANA, 1.0)
    memory.keep(context, "agent's", Source(Kind.AGENT), 0.25)
    assert memory.said(context).action == "ana's"  # type: ignore[union-attr]
    memory.keep(context, "bo's", BO, 1.0)
    assert memory.said(context).action == "bo's"  # type: ignore[union-attr]


def test_a_user_weighs_more_than_an_outcome_and_that_more_than_an_agent():
    weights = [
        Pattern({}, "a", Source(kind)).weight for kind in (Kind.USER, Kind.OUTCOME, Kind.AGENT)
    ]
    assert weights == sorted(weights, reverse=True)
    assert Pattern({}, "a", ANA, confidence=0.5).weight == 0.5


@pytest.mark.parametrize("wrong", [
    {"action": ""}, {"action": "x" * 257}, {"action": "two\nlines"}, {"action": 3},
    {"source": Source(Kind.USER, "x" * 129)}, {"source": Source(Kind.USER, "a\nb")},
    {"confidence": 1.5}, {"confidence": float("nan")}, {"at": -1.0}, {"at": float("inf")},
])  # fmt: skip
def test_feedback_that_cannot_be_kept_is_refused_and_the_error_says_why(wrong: Any):
    with pytest.raises(InvalidInputError) as error:
        Pattern(**{"context": {}, "action": "a", **wrong})
    assert list(error.value.pointers) == [f"/{next(iter(wrong))}"]


def test_the_nearest_share_the_most_and_the_rarest_terms():
    index = Neighbours()
    index.add(10, ["a", "b", "c"])
    index.add(11, ["a", "x", "y"])
    index.add(12, ["q"])
    found = index.find({"a": 1, "b": 1, "c": 1}, 5)
    assert [one.number for one in found] == [10, 11]
    assert found[0].likeness == pytest.approx(1)
    assert index.find({}, 5) == []


def test_what_was_removed_is_found_no_more_and_its_room_is_used_again():
    index = Neighbours()
    for number in range(200):
        index.add(number, ["a", str(number)])
        if number >= 10:
            index.remove(number - 10)
    assert index.find({"a": 1, "195": 1}, 3)[0].number == 195
    assert {one.number for one in index.find({"a": 1}, 100)} == set(range(190, 200))
    assert len(index._numbers) <= 21

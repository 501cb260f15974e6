"""What a learner answers, from the first feedback on; what it keeps, and what harm can do."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConflictError, InvalidInputError
from core.learning.learner import Learner
from core.learning.learner import learner as module
from core.learning.patterns import Kind, Pattern, Source
from tests.unit.learning.test_context import CONTEXTS

WORDS = {
    "book": "reserve table dinner seat evening guests",
    "pay": "bill invoice money transfer owe card",
    "go": "route map drive station train walk",
    "eat": "recipe cook oven flour sugar bake",
    "fix": "tire engine oil brake repair wrench",
}


def user(name: str) -> Source:
    return Source(Kind.USER, name)


def stream(many: int, seed: int = 0) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield contexts of four words, three of them of the right action."""
    draw = random.Random(seed)
    everything = " ".join(WORDS.values()).split()
    for number in range(many):
        action = draw.choice(list(WORDS))
        said = [*draw.sample(WORDS[action].split(), 3), draw.choice(everything), f"nr{number}"]
        draw.shuffle(said)
        yield {"task": "route", "message": " ".join(said)}, action


def taught(many: int = 300, learner: Learner | None = None) -> Learner:
    learner = learner or Learner()
    for turn, (context, action) in enumerate(stream(many)):
        learner.learn(Pattern(context, action, user(f"u{turn % 5}")))
    return learner


def best(learner: Learner, context: dict[str, Any]) -> str | None:
    found = learner.recommend(context)
    return found.actions[0].action if found.actions else None


def accuracy(learner: Learner, many: int = 150, seed: int = 99) -> float:
    return sum(best(learner, context) == action for context, action in stream(many, seed)) / many


def test_before_any_feedback_there_is_no_answer():
    found = Learner().recommend({"a": 1})
    assert found.actions == ()
    assert found.abstain


def test_the_first_feedback_shows_in_the_next_answer():
    learner = Learner()
    learner.learn(Pattern({"column": "ZIP"}, "postcode", user("ana")))
    assert best(learner, {"column": "ZIP"}) == "postcode"
    assert best(learner, {"column": "zip_code"}) == "postcode"


def test_it_learns_from_a_stream():
    assert accuracy(taught(3)) < 0.5
    assert accuracy(taught(300)) > 0.95


def test_a_correction_holds_at_once_whatever_was_learnt():
    learner, (context, action) = taught(300), next(stream(1, seed=7))
    assert best(learner, context) == action
    learner.learn(Pattern(context, "something else", user("ana")))
    assert best(learner, context) == "something else"


def test_who_changes_their_mind_is_counted_once():
    learner, plain = Learner(), Learner()
    context = {"column": "ZIP"}
    learner.learn(Pattern(context, "city", user("ana")))
    learner.learn(Pattern(context, "postcode", user("ana")))
    plain.learn(Pattern(context, "postcode", user("ana")))
    assert [one.action for one in learner.kept()] == ["postcode"]
    assert best(learner, {"column": "ZIP5"}) == "postcode"


def test_the_same_word_again_changes_no_answer():
    once, often = taught(50), taught(50)
    context, action = next(stream(1))
    for _ in range(20):
        often.learn(Pattern(context, action, user("u0")))
    asked = [context for context, _ in stream(20, seed=3)]
    assert [once.recommend(one).actions for one in asked] == [
        often.recommend(one).actions for one in asked
    ]


def test_confidences_are_shares_of_one_and_the_first_is_the_surest():
    learner = taught(300)
    for context, _ in stream(30, seed=5):
        sure = [one.confidence for one in learner.recommend(context, most=99).actions]
        assert len(sure) == len(WORDS)
        assert all(0 <= one <= 1 for one in sure)
        assert sum(sure) <= 1 + 1e-6


def test_it_abstains_where_it_is_less_sure_than_was_asked():
    learner = taught(300)
    known, unknown = next(stream(1, seed=5))[0], {"task": "route", "message": "zzz qqq"}
    assert not learner.recommend(known, precision=0.9).abstain
    assert learner.recommend(unknown, precision=0.95).abstain
    assert not learner.recommend(unknown, precision=0).abstain


def test_only_candidates_are_answered_where_such_are_named():
    learner = taught(300)
    context, action = next(stream(1, seed=5))
    found = learner.recommend(context, candidates=[action, "never heard of"])
    assert [one.action for one in found.actions] == [action, "never heard of"]
    assert learner.recommend(context, candidates=[]).abstain


def test_an_answer_names_the_patterns_that_speak_for_it():
    learner = Learner()
    learner.learn(Pattern({"column": "ZIP"}, "postcode", user("ana")))
    number = learner.learn(Pattern({"column": "STREET"}, "street", user("ana")))
    first = learner.recommend({"column": "STREET_NAME"}).actions[0]
    assert (first.action, first.patterns) == ("street", (number,))


def test_what_is_forgotten_speaks_for_nothing_and_what_is_used_stays():
    learner = Learner(capacity=40)
    number = learner.learn(Pattern({"column": "STREET"}, "street", user("ana")))
    for context, action in stream(100):
        learner.use(learner.recommend({"column": "STREET"}).actions[0].patterns)
        learner.learn(Pattern(context, action, user("ana")))
    assert len(learner.kept()) <= 40
    assert number in {one.number for one in learner.kept()}
    shown = learner.recommend({"task": "route", "message": WORDS["pay"]}, most=9).actions
    kept = {one.number for one in learner.kept()}
    assert {number for one in shown for number in one.patterns} <= kept


def test_a_thousand_lies_of_one_source_do_little_harm():
    honest, lied_to = taught(600), taught(600)
    for context, _ in stream(1000, seed=13):
        lied_to.learn(Pattern(context, "fix", user("mallory")))
    assert accuracy(honest) - accuracy(lied_to) <= 0.03


def test_when_actions_change_their_meaning_it_follows():
    learner, moved = taught(600), {"pay": "go", "go": "pay"}
    for turn, (context, action) in enumerate(stream(120, seed=17)):
        learner.learn(Pattern(context, moved.get(action, action), user(f"u{turn % 5}")))
    asked = list(stream(100, seed=19))
    right = sum(best(learner, context) == moved.get(action, action) for context, action in asked)
    assert right >= 90


def test_an_action_too_many_is_refused_and_nothing_of_it_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_CONCEPTS", 3)
    learner = Learner()
    for number in range(3):
        learner.learn(Pattern({"n": number}, f"a{number}"))
    with pytest.raises(ConflictError, match="at most 3 actions"):
        learner.learn(Pattern({"n": 9}, "one more"))
    assert len(learner.kept()) == 3
    learner.learn(Pattern({"n": 10}, "a0"))


def test_a_context_that_is_refused_changes_nothing():
    learner = taught(20)
    with pytest.raises(InvalidInputError):
        learner.learn(Pattern({"a": float("nan")}, "pay"))
    with pytest.raises(InvalidInputError):
        learner.recommend({"a": {1: 2}})
    assert len(learner.kept()) == 20


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(CONTEXTS, st.sampled_from(["a", "b", "ü"])), max_size=6), CONTEXTS)
def test_any_contexts_are_learnt_and_answered(said: list[Any], asked: dict[str, Any]):
    learner = Learner()
    for context, action in said:
        learner.learn(Pattern(context, action, user("ana")))
        assert best(learner, context) == action
    assert len(learner.recommend(asked, most=9).actions) == len({action for _, action in said})


def test_asking_changes_nothing_of_what_was_said():
    """What speaks for an answer is forgotten later; it is no newer for that."""
    learner = Learner()
    learner.learn(Pattern({"column": "ZIP"}, "postcode", Source(Kind.USER, "ana")))
    learner.learn(Pattern({"column": "ZIP"}, "zone", Source(Kind.USER, "bob")))
    for _ in range(3):
        asked = learner.recommend({"column": "ZIP_CODE"})
        learner.use([number for one in asked.actions for number in one.patterns])
        learner.use([0])
        assert learner.recommend({"column": "ZIP"}).actions[0].action == "zone"


@pytest.mark.parametrize("confidence", [0.0, 0.01, 0.4])
def test_a_word_of_which_its_source_is_not_sure_overrides_no_sure_one(confidence: float):
    learner = Learner()
    for number in range(31):
        learner.learn(Pattern({"m": "invoice"}, "billing", user(f"u{number}")))
    learner.learn(Pattern({"m": "invoice"}, "refunds", user("bob"), confidence))
    assert best(learner, {"m": "invoice"}) == "billing"


def test_a_sure_word_holds_and_of_unsure_ones_what_most_confidence_speaks_for():
    learner, asked = taught(300), {"m": "invoice"}
    for number, (action, confidence, holds) in enumerate([
        ("billing", 1.0, "billing"), ("refunds", 0.4, "billing"), ("refunds", 0.4, "refunds"),
        ("cards", 0.2, "refunds"), ("cards", 1.0, "cards"), ("billing", 0.0, "cards"),
    ]):  # fmt: skip
        learner.learn(Pattern(asked, action, user(f"somebody-{number}"), confidence))
        word = learner.said(asked)
        assert (best(learner, asked), word and word.action) == (holds, holds)


def test_a_lone_word_counts_for_what_its_source_is_sure_of():
    learner = taught(300)
    context, action = next(stream(1, seed=7))
    learner.learn(Pattern(context, "something else", user("ana"), 0.1))
    assert (best(learner, context), learner.said(context)) == (action, None)
    learner.learn(Pattern(context, "something else", user("ana"), 1.0))  # surer now
    assert best(learner, context) == "something else"
    assert sum(one.action == "something else" for one in learner.kept()) == 1


def test_patterns_that_are_forgotten_are_trained_on_and_shown_no_more():
    learner = taught(100)
    first = {one.number for one in learner.kept()[:60]}
    learner.forget(60)
    assert len(learner.kept()) == 40
    assert first.isdisjoint(one.number for one in learner.kept())
    assert first.isdisjoint(one.number for one in learner.model(1).examples)
    shown = learner.recommend({"task": "route", "message": WORDS["pay"]}, most=9).actions
    assert first.isdisjoint(number for one in shown for number in one.patterns)

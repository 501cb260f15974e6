"""A model: fitted with scikit-learn, stored as plain data, and refused if it is damaged."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core.adapters.scikit_learn import fit
from core.learning.learner import Learner
from core.learning.learner.model import Model
from core.learning.models.stored import ARRAYS, DamagedModelError, plain, restored
from core.learning.patterns import Pattern
from tests.unit.learning.test_learner import accuracy, best, stream, taught, user


@pytest.fixture(scope="module")
def model() -> Model:
    patterns = [Pattern(c, a, user(f"u{n % 5}")) for n, (c, a) in enumerate(stream(300))]
    return fit(patterns, version=7)


def answers(learner: Learner) -> list[Any]:
    return [learner.recommend(context).actions for context, _ in stream(20, seed=3)]


def test_a_fitted_model_answers_as_what_learnt_feedback_by_feedback(model: Model):
    fitted, live = Learner(model), taught(300)
    assert [one[0].action for one in answers(fitted)] == [one[0].action for one in answers(live)]
    assert Learner(model).recommend({"a": 1}).version == 7


def test_plain_data_and_back_is_the_same_model(model: Model):
    data = pickle.loads(pickle.dumps(plain(model)))  # noqa: S301  # our own
    again = restored(data)
    assert answers(Learner(again)) == answers(Learner(restored(plain(again))))
    assert [one[0].action for one in answers(Learner(again))] == [
        one[0].action for one in answers(Learner(model))
    ]
    assert again.kept == model.kept
    assert plain(again)["vocabulary"] == plain(model)["vocabulary"]


def test_how_sure_a_source_was_is_stored_and_of_an_earlier_version_all_were_sure():
    learner = Learner()
    for name, action, confidence in (("ana", "pay", 0.3), ("bo", "go", 0.1)):
        learner.learn(Pattern({"a": 1}, action, user(name), confidence=confidence))
    model = learner.model(1)
    again = Learner(restored(plain(model)))
    assert [one.confidence for one in again.kept()] == [0.3, 0.1]
    assert best(again, {"a": 1}) == "pay"
    again.learn(Pattern({"a": 1}, "pay", user("ana"), confidence=0.3))
    assert again.kept()[0].number == learner.kept()[0].number  # the same again
    earlier = {name: value for name, value in plain(model).items() if name != "kept_confidences"}
    kept = restored(earlier | {"schema": 2}).kept
    assert [one.confidence for one in kept] == [1.0, 1.0]


def test_the_model_of_nothing_is_stored_too():
    assert Learner(restored(plain(Model()))).recommend({}).actions == ()
    assert Learner(fit([], version=1)).recommend({"a": 1}).abstain


def test_what_is_newer_than_the_model_shows_at_once_beside_what_is_in_it(model: Model):
    learner = Learner(model)
    number = learner.learn(Pattern({"task": "route", "message": "nr999 zebra"}, "zoo", user("ana")))
    found = learner.recommend({"task": "route", "message": "zebra nr1000"}).actions[0]
    assert (found.action, found.patterns[0]) == ("zoo", number)
    assert accuracy(learner) > 0.95
    assert learner.recommend({"task": "route", "message": "bill invoice money"}).actions[0].patterns


def test_learning_on_from_a_model_changes_no_other_learner_of_it(model: Model):
    before = answers(Learner(model))
    taught(100, Learner(model)).learn(Pattern({"a": 1}, "b"))
    assert answers(Learner(model)) == before


def test_what_is_learnt_on_a_model_is_in_the_next_one(model: Model):
    learner = Learner(model)
    learner.learn(Pattern({"colour": "mauve"}, "paint", user("ana")))
    assert best(Learner(learner.model(8, model.frozen)), {"colour": "mauve"}) == "paint"


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no object": list,
    "nothing": lambda _: {},
    "another schema": lambda data: {**data, "schema": 1},
    "a name more": lambda data: {**data, "more": 1},
    "a name less": lambda data: {name: data[name] for name in data if name != "idf"},
    "a source surer than sure": lambda data: {**data, "kept_confidences": data["kept_confidences"] + 1},
    "a source of which nobody knows how sure": lambda data: {**data, "kept_confidences": data["kept_confidences"] * np.nan},
    "a flag for a number": lambda data: {**data, "seen": True},
    "fewer columns": lambda data: {**data, "weights": data["weights"][:, :-1].copy()},
    "weights that are no numbers": lambda data: {**data, "weights": data["weights"] * np.float16(np.nan)},
    "an action less": lambda data: {**data, "actions": data["actions"].partition("\n")[2]},
    "a source of no kind": lambda data: {**data, "sources": data["sources"].replace("user", "root")},
    "a term less": lambda data: {**data, "vocabulary": data["vocabulary"].partition("\n")[2]},
    "entries astray": lambda data: {**data, "entries": data["entries"] + np.int32(1)},
    "negative entries": lambda data: {**data, "entries": data["entries"] - np.int32(1)},
    "starts that fall": lambda data: {**data, "starts": data["starts"][::-1].copy()},
    "patterns that are not kept": lambda data: {**data, "numbers": data["numbers"] + 1},
    "short digests": lambda data: {**data, "kept_digests": data["kept_digests"][:-1]},
    "examples of no column": lambda data: {**data, "example_columns": data["example_columns"] + np.int32(9)},
    "buckets astray": lambda data: {**data, "example_buckets": data["example_buckets"] | np.uint16(1 << 14)},
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_refused_in_words(model: Model, damage: str):
    with pytest.raises(DamagedModelError, match="damaged"):
        restored(DAMAGES[damage](plain(model)))


@pytest.mark.parametrize("name", ARRAYS)
def test_every_array_must_be_one_of_its_type_and_not_cut_short(model: Model, name: str):
    data = plain(model)
    other = np.int64 if data[name].dtype != np.int64 else np.float64
    for wrong in (data[name].tolist(), data[name].astype(other), data[name][None], data[name][:-1]):
        with pytest.raises(DamagedModelError):
            restored({**data, name: wrong})


def test_what_is_known_of_sources_and_what_speaks_for_a_move_is_in_the_model():
    learner = taught(300)
    for number, (context, _) in enumerate(stream(30, seed=5)):
        learner.learn(Pattern(context, f"zoo{number}", user("liar")))
    model = restored(plain(learner.model(1)))
    assert model.trust["sources"]["liar"] == [30, 30]
    assert any(watch["runs"] for watch in model.runs)
    assert Learner(model).model(1).trust == model.trust
    assert Learner(model).model(1).runs == model.runs

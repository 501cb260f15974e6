"""Learning in blocks: that it comes to the same as learning one after the other."""

import random
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.sparse import csr_array

from benchmarks import learning_streams as streams
from core.learning.evaluation import is_worse
from core.learning.learner import Learner, blocks
from core.learning.learner.bayes import Bayes
from core.learning.learner.blocks import BlockLearner
from core.learning.learner.linear import Example, Linear
from core.learning.learner.rows import Rows
from core.learning.learner.terms import BUCKETS
from core.learning.patterns import Kind, Pattern, Source
from tests.unit.learning.test_learner import stream

USERS = [Source(Kind.USER, f"u{number}") for number in range(7)]


def examples(many: int, columns: int) -> list[Example]:
    draw = np.random.default_rng(3)
    found = list[Example]()
    for number in range(many):
        buckets = np.unique(draw.integers(0, 300, draw.integers(1, 40)))
        values = draw.random(len(buckets), np.float32)
        values /= np.linalg.norm(values)
        column, weight = int(draw.integers(1, columns)), float(draw.choice([1, 0.25, 0.02]))
        found.append(Example(buckets, values, column, weight, number))
    return found


def table(columns: int) -> np.ndarray:
    return np.zeros((BUCKETS, columns), np.float32)


def test_the_linear_expert_is_trained_on_many_as_on_one_after_the_other():
    given = examples(500, 6)
    one, many = Linear(table(6)), Linear(table(6))
    for example in given:
        one.learn(example)
    for start in range(0, 500, 90):
        many.learn_all(csr_array, given[start : start + 90])
    assert np.abs(one.weights).max() > 0.3
    assert np.abs(one.weights - many.weights).max() < 1e-4
    assert [e.number for e in one.examples] == [e.number for e in many.examples]


def test_naive_bayes_counts_many_and_judges_many_as_one_after_the_other():
    given = examples(300, 5)
    one, many = Bayes(table(5)), Bayes(table(5))
    for example in given:
        one.learn(example)
    rows = Rows([example.buckets for example in given])
    values = np.concatenate([example.values for example in given])
    weights = np.array([example.weight for example in given], np.float32)
    many.learn_all(rows, values * rows.spread(weights), np.array([e.column for e in given]))
    assert np.allclose(one.counts, many.counts, atol=1e-4)
    scores = many.scores_of(rows, rows.matrix(csr_array, values), rows.sums(values))
    assert np.allclose(scores, [one.scores(e.buckets, e.values) for e in given], atol=1e-3)


def said(many: int, seed: int = 0) -> list[Pattern]:
    """Return what users say, a tenth of it wrong, some of it twice or of a context without terms."""
    draw, found = random.Random(seed), list[Pattern]()
    for context, action in stream(many, seed):
        heard = draw.choice(["book", "pay"]) if draw.random() < 0.1 else action
        found.append(Pattern(context, heard, draw.choice(USERS)))
        if draw.random() < 0.05:
            again = draw.choice(found)
            other = draw.choice([again.action, "fix"])
            found.append(Pattern(again.context, other, again.source))
    found[many // 2] = Pattern({}, "pay", USERS[0])
    return found


def both(patterns: Sequence[Pattern], capacity: int = 100_000) -> tuple[Learner, BlockLearner]:
    one, many = Learner(capacity=capacity), BlockLearner(csr_array, None, capacity)
    assert one.learn_all(patterns) == many.learn_all(patterns)
    return one, many


@pytest.mark.parametrize("capacity", [100_000, 500])
def test_the_same_patterns_are_kept_under_the_same_numbers(capacity: int):
    one, many = both(said(4_000), capacity)
    names = [(k.number, k.digest, k.action, k.source, k.used) for k in one.kept()]
    assert names == [(k.number, k.digest, k.action, k.source, k.used) for k in many.kept()]
    assert [one.words(k.number) for k in one.kept()] == [many.words(k.number) for k in many.kept()]
    doubted, other = ({k.number for k in x.kept() if k.weight < 0.5} for x in (one, many))
    assert len(doubted ^ other) <= 0.01 * len(names)


def test_it_answers_no_worse_and_is_as_sure():
    one, many = both(said(4_000))
    asked = list(stream(1_000, seed=99))
    answers = [[learner.predict(context) for context, _ in asked] for learner in (one, many)]
    right = [
        [a == action for (a, _), (_, action) in zip(some, asked, strict=True)] for some in answers
    ]
    assert not is_worse(right[1], right[0])
    assert sum(right[1]) > 950
    sure = [np.mean([sure for _, sure in some]) for some in answers]
    assert abs(sure[0] - sure[1]) < 0.02


def test_on_real_decisions_it_answers_as_what_learnt_one_after_the_other():
    """Columns of address files in the order of their time; those of the next files are asked."""
    events = streams.fields(streams.DATA, 3_000)
    given = [
        Pattern(e.context, e.action, USERS[zlib.crc32(e.group.encode()) % 7])
        for e in events[:2_400]
    ]
    one, many = both(given)
    asked = events[2_400:]
    answers = [[learner.predict(e.context) for e in asked] for learner in (one, many)]
    right = [[a == e.action for (a, _), e in zip(some, asked, strict=True)] for some in answers]
    assert not is_worse(right[1], right[0])
    assert not is_worse(right[0], right[1])
    sure = [(a, b) for (a, x), (b, y) in zip(*answers, strict=True) if min(x, y) >= 0.9]
    assert len(sure) > 300
    assert sum(a == b for a, b in sure) >= 0.99 * len(sure)


def test_an_action_that_is_new_is_begun_where_it_comes():
    patterns = said(2_000)
    for number in range(1_000, 2_000, 30):
        context = {"message": f"zebra lion stripe{number % 4}"}
        patterns[number] = Pattern(context, f"zoo{number // 300}", USERS[number % 7])
    one, many = both(patterns)
    model, other = one.model(1), many.model(1)
    assert (model.concepts, model.seen) == (other.concepts, other.seen)
    assert np.abs(model.counts - other.counts).max() < 2  # a few are believed here and not there


def test_what_is_refused_is_counted_and_all_else_is_learnt(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("core.learning.learner.learner.MAX_CONCEPTS", 5)
    patterns = said(1_500)
    for number in range(0, 1_500, 50):
        patterns[number] = Pattern({"deep": [float("nan")]}, "pay", USERS[0])
        patterns[number + 7] = Pattern({"message": f"new {number}"}, f"new{number}", USERS[1])
    one, many = both(patterns)
    assert len(one.kept()) == len(many.kept()) > 1_000


def test_what_is_learnt_in_blocks_is_as_new_to_the_next_block(monkeypatch: pytest.MonkeyPatch):
    """Blocks are short beside what was learnt: else they would be judged by what knew too little."""
    sizes = list[tuple[int, int]]()
    learn = BlockLearner._learn_block

    def noted(self: BlockLearner, read: Sequence[blocks._Read]) -> tuple[int, int]:
        sizes.append((self._experts.seen, len(read)))
        return learn(self, read)

    monkeypatch.setattr(BlockLearner, "_learn_block", noted)
    both(said(4_000))
    assert len(sizes) > 50
    assert all(size <= seen / 100 for seen, size in sizes)

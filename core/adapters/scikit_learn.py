"""Fitting a model with scikit-learn and scipy; the one module that imports them. Answering needs numpy only."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array  # pyright: ignore[reportMissingTypeStubs]  # comes with scikit-learn
from sklearn.feature_extraction.text import (  # pyright: ignore[reportMissingTypeStubs]  # it has none
    TfidfVectorizer,
)

from core.learning.learner import Learner
from core.learning.learner.blocks import BlockLearner
from core.learning.learner.model import Model
from core.learning.learner.neighbours import Frozen
from core.learning.patterns import CAPACITY, Pattern

VOCABULARY = 1_000_000  # terms; the rarest are left out beyond that
_OPTIONS: dict[str, Any] = {  # terms come as they are; an answer makes lengths 1 itself
    "analyzer": tuple, "binary": True, "norm": None, "max_features": VOCABULARY, "dtype": np.float32,
}  # fmt: skip


def fit(patterns: Iterable[Pattern], version: int, capacity: int = CAPACITY) -> Model:
    """Return a model of patterns, which come in the order in which they were given.

    Each is learnt as it was when it came; then the index over those that are kept is fitted.
    """
    learner = Learner(capacity=capacity)
    for pattern in patterns:
        learner.learn(pattern)
    return indexed(learner, version)


def block_learner(model: Model | None = None, capacity: int = CAPACITY) -> BlockLearner:
    """Return a learner that is to be taught much; of nothing, or what a model knows."""
    return BlockLearner(csr_array, model, capacity)


def indexed(learner: Learner, version: int) -> Model:
    """Return the model of a learner that began with nothing, with the index over what it keeps."""
    numbers = [one.number for one in learner.kept()]
    return learner.model(version, index(numbers, [learner.words(number) for number in numbers]))


def index(numbers: Sequence[int], words: Iterable[tuple[str, ...]]) -> Frozen:
    """Return the inverted index of patterns by their exact terms, with TF-IDF weights.

    `words` are gone through twice.
    """
    if not any(words):
        return Frozen.empty()
    vectorizer: Any = TfidfVectorizer(**_OPTIONS)
    weighed: Any = vectorizer.fit_transform(words)
    columns = weighed.tocsc()
    columns.sort_indices()
    norms = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    return Frozen(
        {str(term): int(place) for term, place in vectorizer.vocabulary_.items()},
        vectorizer.idf_.astype(np.float32),
        columns.indptr.astype(np.int64),
        columns.indices.astype(np.int32),
        np.array(numbers, np.int64),
        np.maximum(norms, 1e-6).astype(np.float32),
    )

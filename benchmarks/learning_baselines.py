"""What learning is compared with, on the same streams."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import bm25s
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.learning_streams import Answer, Event

REFIT = 100  # feedbacks between two fits
FEATURES, THRESHOLD = 1000, 0.7  # of the naive design
VOTERS = 10


class Majority:
    """The action that was right most often."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def answer(self, context: Mapping[str, Any]) -> Answer:
        """Answer the same whatever the context."""
        del context
        return Answer(self._counts.most_common(1)[0][0] if self._counts else None)

    def learn(self, event: Event) -> None:
        """Count."""
        self._counts[event.said] += 1


class _Refitted:
    """What sees only what there was at its last fit."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.actions: list[str] = []
        self._fitted = 0

    def learn(self, event: Event) -> None:
        """Keep, and fit anew each hundred."""
        self.texts.append(json.dumps(event.context))
        self.actions.append(event.said)
        if len(self.texts) >= self._fitted + REFIT:
            self._fitted = len(self.texts)
            self.fit()

    def fit(self) -> None:
        """Fit on all that is kept."""
        raise NotImplementedError


class Naive(_Refitted):
    """The naive design: TF-IDF of the JSON text, the nearest if it is nearer than 0.7."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        super().__init__()
        self._threshold = threshold
        self._vectorizer: TfidfVectorizer | None = None

    def fit(self) -> None:
        """Fit the vectorizer, and the matrix of what is kept."""
        self._vectorizer = TfidfVectorizer(max_features=FEATURES)
        self._matrix = self._vectorizer.fit_transform(self.texts)

    def answer(self, context: Mapping[str, Any]) -> Answer:
        """Answer as the nearest."""
        if self._vectorizer is None:
            return Answer(None)
        query = self._vectorizer.transform([json.dumps(context)])
        likeness = (self._matrix @ query.T).toarray().ravel()
        best = int(likeness.argmax())
        return Answer(self.actions[best] if likeness[best] > self._threshold else None)


class Bm25(_Refitted):
    """A vote of the ten best by BM25."""

    def __init__(self) -> None:
        super().__init__()
        self._index: bm25s.BM25 | None = None

    def fit(self) -> None:
        """Index what is kept."""
        self._index = bm25s.BM25()
        self._index.index(bm25s.tokenize(self.texts, show_progress=False), show_progress=False)

    def answer(self, context: Mapping[str, Any]) -> Answer:
        """Vote."""
        if self._index is None:
            return Answer(None)
        query = bm25s.tokenize([json.dumps(context)], return_ids=False, show_progress=False)[0]
        scores = np.asarray(self._index.get_scores(query))
        votes: Counter[str] = Counter()
        for one in np.argpartition(-scores, min(VOTERS, len(scores)) - 1)[:VOTERS]:
            votes[self.actions[one]] += float(scores[one])
        return Answer(votes.most_common(1)[0][0])

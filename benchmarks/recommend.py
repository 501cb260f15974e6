"""Answering: what a recommendation costs in process, and a model to load.

python -m benchmarks.recommend --json

A million requests as objects would take more memory than all else: they are made anew where they are
gone through, from the same seed.
"""

import json
import pickle
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from benchmarks import report
from benchmarks.feedback_visible import visible
from benchmarks.parts import run
from benchmarks.report import Figure, short
from core.adapters.scikit_learn import index
from core.learning.learner import Learner
from core.learning.learner.model import Model
from core.learning.learner.terms import terms
from core.learning.models.stored import plain, restored
from core.learning.patterns import Kept, Kind, Pattern, Source

MILLION = 1_000_000
BOUNDS = {100_000: "<= 0.2", MILLION: "<= 0.5"}
LOOP_TIMED = 500  # patterns of the naive loop that are timed; each costs the same
ACTIONS, NOUNS = 100, 20_000
SOURCE = Source(Kind.USER, "ana")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    The experts have learnt `trained` feedbacks: what they cost does not grow with the patterns.
    """

    sizes: tuple[int, ...]
    looped: int
    trained: int
    rounds: int
    imports: int


FULL = Effort((100_000, MILLION), 10_000, 2_000, 100, 3)
QUICK = Effort((2_000,), 300, 300, 20, 1)


def context(draw: random.Random) -> dict[str, Any]:
    """Return a request of ten words, the rarer the larger their number."""
    words = (f"w{int(NOUNS * draw.random() ** 3)}" for _ in range(10))
    return {
        "agent": "desk",
        "task": "route",
        "message": " ".join(words),
        "items": draw.randrange(99),
    }


def action(number: int) -> str:
    """Return the action of a pattern."""
    return f"action {number % ACTIONS}"


def contexts(many: int) -> Iterator[dict[str, Any]]:
    """Yield requests, each time the same."""
    draw = random.Random(2)
    for _ in range(many):
        yield context(draw)


@dataclass(frozen=True, slots=True)
class Words:
    """The exact terms of so many requests, one request after the other, as often as they are gone through."""

    many: int

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """Yield those of each request."""
        return (tuple(terms(one).words) for one in contexts(self.many))


def model(many: int, trained: int) -> Model:
    """Return a model that keeps so many requests; its experts have learnt the first of them."""
    learner = Learner()
    for number, one in enumerate(contexts(trained)):
        learner.learn(Pattern(one, action(number), SOURCE))
    actions = [action(number) for number in range(ACTIONS)]
    kept = (Kept(n, n.to_bytes(16), actions[n % ACTIONS], SOURCE, 1.0, n) for n in range(many))
    base = learner.model(1, index(range(many), Words(many)))
    return replace(base, kept=tuple(kept))


def matrix(fitted: Model) -> csr_matrix:
    """Return the same patterns as the matrix that the vectorizer made, a row for each."""
    frozen = fitted.frozen
    columns = np.repeat(np.arange(len(frozen.idf)), np.diff(frozen.starts))
    shape = (len(frozen.numbers), len(frozen.idf))
    return csr_matrix((frozen.idf[columns], (frozen.entries, columns)), shape)


def milliseconds(work: Callable[[], object], rounds: int) -> list[float]:
    """Time some work."""
    found: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - started))
    return found


def against_matvec(fitted: Model, queries: Sequence[dict[str, Any]], rounds: int) -> Figure:
    """Compare a recommendation with one product of the matrix and a dense vector, in turns."""
    learner, rows = Learner(fitted), matrix(fitted)
    learner.recommend(queries[0])
    ours, base = list[float](), list[float]()
    for turn in range(rounds):
        query = queries[turn % len(queries)]
        dense = np.zeros(rows.shape[1], np.float32)
        places = [fitted.frozen.vocabulary.get(word) for word in terms(query).words]
        dense[[place for place in places if place is not None]] = 1
        base += milliseconds(lambda dense=dense: rows @ dense, 1)
        ours += milliseconds(lambda query=query: learner.recommend(query), 1)
    one, other = statistics.median(ours), statistics.median(base)
    many = rows.shape[0]
    return Figure(
        f"p50_vs_matvec_{name(many)}",
        round(one / other, 4),
        BOUNDS.get(many, ""),
        f"{one:.2f} ms instead of {other:.1f}",
    )


def name(many: int) -> str:
    """Return a number as keys have it."""
    return "1m" if many == MILLION else short(many)


def against_loop(many: int, queries: Sequence[dict[str, Any]], trained: int) -> Figure:
    """Compare with the naive design's loop: cosine_similarity with one pattern after the other."""
    learner = Learner(model(many, trained))
    vectorizer = TfidfVectorizer(max_features=1000)
    rows = vectorizer.fit_transform(json.dumps(one) for one in contexts(many))
    asked = vectorizer.transform([json.dumps(queries[0])])
    part = rows[:: max(1, rows.shape[0] // LOOP_TIMED)]  # every so many rows
    timed = milliseconds(lambda: [cosine_similarity(asked, row) for row in part], 1)[0]
    base = timed * rows.shape[0] / part.shape[0]
    ours = statistics.median(
        milliseconds(lambda: [learner.recommend(query) for query in queries], 1)[0] / len(queries)
        for _ in range(5)
    )
    seen = f"{ours:.2f} ms instead of {base:.0f}"
    return Figure(f"p50_vs_naive_loop_{name(many)}", round(ours / base, 6), "<= 0.001", seen)


def stored(fitted: Model) -> list[Figure]:
    """Tell how large a model is and how long it takes until it answers."""
    data = pickle.dumps(plain(fitted), protocol=5)
    times = milliseconds(lambda: Learner(restored(pickle.loads(data))), 3)  # noqa: S301  # our own
    unpickled = min(milliseconds(lambda: pickle.loads(data), 3))  # noqa: S301  # our own
    many = name(len(fitted.kept))
    return [
        Figure(
            f"load_{many}_ms",
            round(min(times)),
            seen=f"{unpickled:.0f} ms to unpickle, the rest to check it and to index what is kept",
        ),
        Figure(f"model_mb_{many}", round(len(data) / 2**20, 1)),
    ]


def cold_import(rounds: int) -> Figure:
    """Compare the import of what answers with that of TfidfVectorizer, in fresh processes."""
    ours = min(imported("core.learning.learner") for _ in range(rounds))
    base = min(imported("sklearn.feature_extraction.text") for _ in range(rounds))
    seen = f"{ours:.2f} s of CPU instead of {base:.2f}"
    return Figure("cold_import_vs_sklearn", round(ours / base, 3), "<= 0.2", seen)


def imported(module: str) -> float:
    """Return the CPU seconds that an import takes, without those of Python's own start."""
    code = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


def measure(effort: Effort) -> list[Figure]:
    """Measure all."""
    draw = random.Random(1)
    queries = [context(draw) for _ in range(50)]
    figures = [
        cold_import(effort.imports),
        against_loop(effort.looped, queries, effort.trained),
        *run(visible(effort.rounds)),
    ]
    for size in effort.sizes:
        fitted = model(size, effort.trained)
        figures.append(against_matvec(fitted, queries, effort.rounds))
        if size == min(effort.sizes):
            figures += stored(fitted)
    return figures


def main() -> None:
    """Run the benchmark."""
    options = report.options(__doc__)
    report.tell(measure(QUICK if options.quick else FULL), as_json=options.json)


if __name__ == "__main__":
    main()

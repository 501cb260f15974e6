"""A model as plain data, and back: numbers, texts and arrays by name, nothing that runs when it is read.

Texts are lines. `restored` believes nothing: every name, type, shape and reference is checked before
it is used, so that what is damaged is refused and never answers. Whether it comes from us is for a
signature to say, before this.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from core.json_text import compact
from core.learning.learner import concepts as concept_runs
from core.learning.learner import trust
from core.learning.learner.linear import REMEMBERED, Example
from core.learning.learner.model import EXPERTS, MAX_CONCEPTS, Model
from core.learning.learner.neighbours import Frozen
from core.learning.learner.terms import BUCKETS
from core.learning.patterns import Kept, Kind, Source

SCHEMA, UNSURE_SCHEMA = (
    3,
    2,
)  # in the earlier one no pattern had a confidence: all are taken as sure
DIGEST_BYTES = 16
MAX_BYTES = 1 << 28  # of all arrays and texts
MAX_KEPT = 1_000_000  # patterns

Plain = dict[str, Any]
Array = NDArray[Any]

ARRAYS = {  # name -> type, dimensions
    "weights": ("f2", 2), "counts": ("f4", 2), "frequencies": ("f4", 1), "misses": ("f8", 1),
    "past_scores": ("f8", 1), "past_right": ("?", 1),
    "example_starts": ("i8", 1), "example_buckets": ("u2", 1), "example_values": ("f2", 1),
    "example_columns": ("i4", 1), "example_weights": ("f4", 1), "example_numbers": ("i8", 1),
    "kept_numbers": ("i8", 1), "kept_digests": ("u1", 1), "kept_actions": ("i4", 1),
    "kept_sources": ("i4", 1), "kept_weights": ("f4", 1), "kept_used": ("i8", 1),
    "kept_confidences": ("f8", 1),
    "idf": ("f4", 1), "starts": ("i8", 1), "entries": ("i4", 1), "numbers": ("i8", 1),
    "norms": ("f4", 1),
}  # fmt: skip
TEXTS = ("concepts", "actions", "sources", "vocabulary", "trust", "runs")
NUMBERS = ("schema", "version", "seen")


class DamagedModelError(ValueError):
    """This is no model, or not all of one; the message says what is wrong with it."""


def plain(model: Model) -> Plain:
    """Return a model as numbers, texts and arrays."""
    return {
        "schema": SCHEMA,
        "version": model.version,
        "seen": model.seen,
        "concepts": "\n".join(model.concepts),
        "weights": model.weights.astype(np.float16),
        "counts": model.counts,
        "frequencies": model.frequencies,
        "misses": model.misses,
        "past_scores": np.array([score for score, _ in model.past], np.float64),
        "past_right": np.array([right for _, right in model.past], np.bool_),
        "trust": compact(model.trust),
        "runs": compact(model.runs),
        **_plain_examples(model.examples),
        **_plain_kept(model.kept),
        **_plain_index(model.frozen),
    }


def _plain_examples(examples: tuple[Example, ...]) -> Plain:
    sizes = [len(one.buckets) for one in examples]
    return {
        "example_starts": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        "example_buckets": _joined([one.buckets for one in examples], np.uint16),
        "example_values": _joined([one.values for one in examples], np.float16),
        "example_columns": np.array([one.column for one in examples], np.int32),
        "example_weights": np.array([one.weight for one in examples], np.float32),
        "example_numbers": np.array([one.number for one in examples], np.int64),
    }


def _joined(parts: list[Array], dtype: type[np.generic]) -> Array:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def _plain_kept(kept: tuple[Kept, ...]) -> Plain:
    actions = {one.action: 0 for one in kept}
    sources = {f"{one.source.kind} {one.source.name}": 0 for one in kept}
    for places in (actions, sources):
        places.update(zip(places, range(len(places)), strict=True))
    return {
        "actions": "\n".join(actions),
        "sources": "\n".join(sources),
        "kept_numbers": np.array([one.number for one in kept], np.int64),
        "kept_digests": np.frombuffer(b"".join(one.digest for one in kept), np.uint8),
        "kept_actions": np.array([actions[one.action] for one in kept], np.int32),
        "kept_sources": np.array(
            [sources[f"{one.source.kind} {one.source.name}"] for one in kept], np.int32
        ),
        "kept_weights": np.array([one.weight for one in kept], np.float32),
        "kept_used": np.array([one.used for one in kept], np.int64),
        "kept_confidences": np.array([one.confidence for one in kept], np.float64),
    }


def _plain_index(frozen: Frozen) -> Plain:
    return {
        "vocabulary": "\n".join(sorted(frozen.vocabulary, key=frozen.vocabulary.__getitem__)),
        "idf": frozen.idf,
        "starts": frozen.starts,
        "entries": frozen.entries,
        "numbers": frozen.numbers,
        "norms": frozen.norms,
    }


def restored(data: object) -> Model:
    """Return the model of plain data. Raises DamagedModelError."""
    found = _checked(data)
    concepts = tuple(_lines(found["concepts"]))
    _need(len(concepts) <= MAX_CONCEPTS, "too many concepts")
    for name in ("weights", "counts"):
        _need(found[name].shape == (BUCKETS, len(concepts) + 1), f"{name}: wrong shape")
        _need(bool(np.isfinite(found[name]).all()), f"{name}: not finite")
    _need(found["frequencies"].shape == (BUCKETS,), "frequencies: wrong shape")
    _need(found["misses"].shape == (EXPERTS,), "misses: wrong shape")
    _same_length(found, "past_scores", "past_right")
    return Model(
        found["version"],
        found["seen"],
        concepts,
        found["weights"].astype(np.float32),
        found["counts"],
        found["frequencies"],
        found["misses"],
        tuple(zip(found["past_scores"].tolist(), found["past_right"].tolist(), strict=True)),
        tuple(_examples(found, len(concepts) + 1)),
        tuple(_kept(found)),
        _index(found),
        _json(found, "trust", trust.check_state),
        _json(found, "runs", lambda runs: concept_runs.check_runs(runs, len(concepts))),
    )


def _json(found: Plain, name: str, check: Callable[[Any], None]) -> Any:
    """Return what a text says as JSON, if `check` does not raise ValueError."""
    try:
        value = json.loads(found[name])
        check(value)
    except (ValueError, RecursionError) as error:
        raise DamagedModelError(f"the model is damaged: {name}: astray") from error
    return value


def _checked(data: object) -> Plain:
    """Return the data if it has all names, each with its type, and is not too large."""
    if not isinstance(data, dict):
        raise DamagedModelError("the model is damaged: not an object")
    found = _of_today(data)  # pyright: ignore[reportUnknownArgumentType]
    _need(found.get("schema") == SCHEMA, f"schema: not {SCHEMA}")
    _need(set(found) == {*NUMBERS, *TEXTS, *ARRAYS}, "other names than a model has")
    for name in NUMBERS:
        _need(type(found[name]) is int and 0 <= found[name] < 2**53, f"{name}: no number")
    for name in TEXTS:
        _need(type(found[name]) is str, f"{name}: no text")
    for name, (dtype, dimensions) in ARRAYS.items():
        one = found[name]
        _need(type(one) is np.ndarray, f"{name}: no array")
        _need(one.dtype == np.dtype(dtype) and one.ndim == dimensions, f"{name}: wrong type")
    _need(size_bytes(found) <= MAX_BYTES, "too large")
    return found


def _of_today(data: Plain) -> Plain:
    """Return plain data of the earlier schema as that of this one."""
    weights: Any = data.get("kept_weights")
    if data.get("schema") != UNSURE_SCHEMA or type(weights) is not np.ndarray:
        return data
    return data | {"schema": SCHEMA, "kept_confidences": np.ones(len(weights))}


def size_bytes(data: Plain) -> int:
    """Return how many bytes the arrays and texts of plain data have, of which a model has MAX_BYTES at most."""
    texts = sum(len(data[name].encode("utf-8", "replace")) for name in TEXTS)
    return texts + sum(data[name].nbytes for name in ARRAYS)


def _examples(found: Plain, columns: int) -> Iterator[Example]:
    names = ("example_columns", "example_weights", "example_numbers")
    size = _same_length(found, *names)
    starts = _starts(found, "example_starts", size, len(found["example_buckets"]))
    _need(size <= REMEMBERED, "too many examples")
    _same_length(found, "example_buckets", "example_values")
    _within(found, "example_columns", columns)
    _within(found, "example_buckets", BUCKETS)
    buckets = found["example_buckets"].astype(np.int64)
    values = found["example_values"].astype(np.float32)
    rest = zip(*(found[name].tolist() for name in names), strict=True)
    for (start, end), (column, weight, number) in zip(pairwise(starts), rest, strict=True):
        yield Example(buckets[start:end], values[start:end], column, weight, number)


def _kept(found: Plain) -> Iterator[Kept]:
    names = (
        "kept_numbers", "kept_actions", "kept_sources", "kept_weights", "kept_used", "kept_confidences",
    )  # fmt: skip
    size = _same_length(found, *names)
    _need(size <= MAX_KEPT, "too many patterns")
    digests = found["kept_digests"].tobytes()
    _need(len(digests) == size * DIGEST_BYTES, "kept_digests: wrong length")
    actions, sources = _lines(found["actions"]), list(_sources(found["sources"]))
    _within(found, "kept_actions", len(actions))
    _within(found, "kept_sources", len(sources))
    sure = found["kept_confidences"]
    _need(bool(((sure >= 0) & (sure <= 1)).all()), "kept_confidences: astray")
    columns = [cast("list[Any]", found[name].tolist()) for name in names]
    for row, (number, action, source, *rest) in enumerate(zip(*columns, strict=True)):
        digest = digests[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES]
        yield Kept(number, digest, actions[int(action)], sources[int(source)], *rest)


def _sources(text: str) -> Iterator[Source]:
    for line in _lines(text):
        kind, _, name = line.partition(" ")
        _need(kind in set(Kind), "sources: an unknown kind")
        yield Source(Kind(kind), name)


def _index(found: Plain) -> Frozen:
    terms, patterns = _lines(found["vocabulary"]), _same_length(found, "numbers", "norms")
    _need(len(found["idf"]) == len(terms), "idf: wrong length")
    _starts(found, "starts", len(terms), len(found["entries"]))
    _within(found, "entries", patterns)
    _need(
        set(found["numbers"].tolist()) <= set(found["kept_numbers"].tolist()), "numbers: not kept"
    )
    vocabulary = {term: place for place, term in enumerate(terms)}
    arrays = [found[name] for name in ("idf", "starts", "entries", "numbers", "norms")]
    return Frozen(vocabulary, *arrays)


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _same_length(found: Plain, *names: str) -> int:
    sizes = {len(found[name]) for name in names}
    _need(len(sizes) == 1, f"{', '.join(names)}: different lengths")
    return sizes.pop()


def _starts(found: Plain, name: str, rows: int, end: int) -> Iterable[int]:
    starts = found[name]
    rising = len(starts) == rows + 1 and starts[0] == 0 and starts[-1] == end
    _need(rising and bool((np.diff(starts) >= 0).all()), f"{name}: wrong")
    return starts.tolist()


def _within(found: Plain, name: str, end: int) -> None:
    values = found[name]
    _need(
        not len(values) or (int(values.min()) >= 0 and int(values.max()) < end), f"{name}: astray"
    )


def _need(holds: bool, why: str) -> None:
    if not holds:
        raise DamagedModelError(f"the model is damaged: {why}")

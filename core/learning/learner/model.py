"""The model: all that a learner knows, as arrays and texts; `core.learning.models.stored` has it as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.learning.learner.linear import Example, Floats
from core.learning.learner.neighbours import Frozen
from core.learning.learner.terms import BUCKETS
from core.learning.patterns import Kept

EXPERTS = 2
MAX_CONCEPTS = 1000


def _table() -> Floats:
    return np.zeros((BUCKETS, 1), np.float32)


@dataclass(frozen=True, slots=True)
class Model:
    """What was learnt until a version; each part is explained in the module that uses it.

    `seen` feedbacks were counted. `concepts` are the actions that concepts 1, 2, ... stand for, the columns
    of `weights` and `counts`; `frequencies` says in how many contexts each bucket was, `misses` how
    often each expert erred of late, `past` how answers turned out. `trust` is the record of sources,
    `runs` what speaks for a move of each concept.
    """

    version: int = 0
    seen: int = 0
    concepts: tuple[str, ...] = ()
    weights: Floats = field(default_factory=_table)
    counts: Floats = field(default_factory=_table)
    frequencies: Floats = field(default_factory=lambda: np.zeros(BUCKETS, np.float32))
    misses: NDArray[np.float64] = field(default_factory=lambda: np.zeros(EXPERTS))
    past: tuple[tuple[float, bool], ...] = ()
    examples: tuple[Example, ...] = ()
    kept: tuple[Kept, ...] = ()
    frozen: Frozen = field(default_factory=Frozen.empty)
    trust: Mapping[str, Any] = field(default_factory=dict[str, Any])
    runs: Sequence[dict[str, Any]] = ()

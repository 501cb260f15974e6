"""Learners of one process alone, for tests and benchmarks."""

from core.adapters.memory.blobs import MemoryBlobs
from core.adapters.memory.feedback import MemoryFeedbackLog
from core.learning.models.model_store import ModelStore
from core.learning.models.seals import SealKeys
from core.learning.serving import Learners


def memory_learners() -> Learners:
    """Return learners that have learnt nothing."""
    blobs = MemoryBlobs()
    return Learners(ModelStore(lambda: blobs, SealKeys({"memory": "k" * 32})), MemoryFeedbackLog())

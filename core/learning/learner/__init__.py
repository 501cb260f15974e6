"""The learner: what one task of one tenant has learnt, and the experts, tables and index that it is made of."""

from core.learning.learner.learner import Learner
from core.learning.learner.recommendation import Recommendation, Suggestion

__all__ = ["Learner", "Recommendation", "Suggestion"]

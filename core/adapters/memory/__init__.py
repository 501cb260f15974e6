"""All ports in one process' memory: for tests, and as the plainest statement of the contracts.

The contract suites hold this adapter and the ones over Redis and S3 to the same behaviour.
"""

from core.adapters.memory.agreed_prices import MemoryAgreedPrices
from core.adapters.memory.blobs import MemoryBlobs
from core.adapters.memory.budgets import MemoryBudgets
from core.adapters.memory.call_ledger import MemoryCallLedger
from core.adapters.memory.feedback import MemoryFeedbackLog
from core.adapters.memory.flows import MemoryFlows
from core.adapters.memory.journals import MemoryJournals
from core.adapters.memory.outbox import MemoryOutbox
from core.adapters.memory.spending_log import MemorySpendingLog
from core.adapters.memory.trials import MemoryTrials
from core.adapters.memory.usage import MemoryUsageBook

__all__ = [
    "MemoryAgreedPrices",
    "MemoryBlobs",
    "MemoryBudgets",
    "MemoryCallLedger",
    "MemoryFeedbackLog",
    "MemoryFlows",
    "MemoryJournals",
    "MemoryOutbox",
    "MemorySpendingLog",
    "MemoryTrials",
    "MemoryUsageBook",
]

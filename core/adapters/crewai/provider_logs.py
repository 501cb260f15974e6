"""Provider logs: what CrewAI and the clients of providers log, which is kept out of ours.

They write the texts of errors, in which providers repeat prompts and keys. Why a call or a step
failed is logged by `model_calls` and `tools`, in words of our own.
"""

import logging
from pathlib import PurePath

_LOGGERS = ("crewai", "openai", "anthropic", "httpx", "httpcore", "google_genai")
_PACKAGES = frozenset(_LOGGERS)
_NEVER = logging.CRITICAL + 1


class _NotOfAPackage(logging.Filter):
    """Drops records of the root logger that these packages write: CrewAI uses `logging.error`."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record was written by other code."""
        return _PACKAGES.isdisjoint(PurePath(record.pathname).parts)


_FILTER = _NotOfAPackage()


def silence() -> None:
    """Keep these packages out of the log of this process."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(_NEVER)
    logging.getLogger().addFilter(_FILTER)  # once, however often this is called

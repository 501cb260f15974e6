"""How many streams one subject may have open in one process, so that nobody takes all of it."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from core.errors import UnavailableError
from core.identity import Principal

STREAMS_PER_SUBJECT = 100
RETRY_SECONDS = 5


class StreamLimiter:
    """Counts the streams of each subject."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open = Counter[tuple[str, str]]()

    @contextmanager
    def slot(self, who: Principal) -> Generator[None]:
        """Take a place for a stream. Raises UnavailableError if the subject has no more."""
        subject = (who.tenant, who.subject)
        if self._open[subject] >= self._limit:
            raise UnavailableError("you have too many streams open", RETRY_SECONDS)
        self._open[subject] += 1
        try:
            yield
        finally:
            self._open[subject] -= 1
            if not self._open[subject]:
                del self._open[subject]


stream_limiter = StreamLimiter(STREAMS_PER_SUBJECT)

"""How many streams one subject may have open in one process, so that nobody takes all of it.

Each flow of a stream counts, since it may cost a subscription, and so does each answer that is held
(`functions._polling`). CREWLINE_STREAMS_PER_SUBJECT is the limit.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from starlette.exceptions import HTTPException

from core import bootstrap
from core.identity import Principal

RETRY_SECONDS = 5


class TooManyStreamsError(HTTPException):
    """The subject has as many streams as it may have; 429 for a client that reads a status."""

    def __init__(self) -> None:
        headers = {"retry-after": str(RETRY_SECONDS)}
        super().__init__(429, "you have too many streams open; poll, or close some", headers)


class StreamLimiter:
    """Counts the streams of each subject."""

    def __init__(self) -> None:
        self._open = Counter[tuple[str, str]]()

    @contextmanager
    def slot(self, who: Principal, flows: int = 1) -> Generator[None]:
        """Count a stream of so many flows as open. Raises TooManyStreamsError."""
        subject = (who.tenant, who.subject)
        if self._open[subject] + flows > bootstrap.settings().streams_per_subject:
            raise TooManyStreamsError
        self._open[subject] += flows
        try:
            yield
        finally:
            self._open[subject] -= flows
            if not self._open[subject]:
                del self._open[subject]


stream_limiter = StreamLimiter()

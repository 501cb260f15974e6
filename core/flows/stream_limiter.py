"""How many streams one subject may have open in one process, so that nobody takes all of it.

Each flow of a stream counts, since it may cost a subscription, and so does each answer that is held.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from core.errors import TooManyError
from core.identity import Principal


class TooManyStreamsError(TooManyError):
    """The subject has as many streams as it may have."""

    def __init__(self) -> None:
        super().__init__("you have too many streams open; poll, or close some")


class StreamLimiter:
    """Counts the streams of each subject, of which it may have `most`."""

    def __init__(self, most: int) -> None:
        self._most, self._open = most, Counter[tuple[str, str]]()

    @contextmanager
    def slot(self, who: Principal, flows: int = 1) -> Generator[None]:
        """Count a stream of so many flows as open. Raises TooManyStreamsError."""
        subject = (who.tenant, who.subject)
        if self._open[subject] + flows > self._most:
            raise TooManyStreamsError
        self._open[subject] += flows
        try:
            yield
        finally:
            self._open[subject] -= flows
            if not self._open[subject]:
                del self._open[subject]

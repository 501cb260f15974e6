"""How many requests one subject may have under way in a process, beside its streams and held polls.

A request that its client takes back is worked on to its end, and HTTP/2 does not count it among a
connection's streams any more. So whoever takes each back at once (CVE-2023-44487) had 1,400 of them
under way, each with a connection to the store: polls of other tenants waited for seconds.
"""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from core import bootstrap
from core.errors import TooManyError
from core.identity import Principal


class TooManyRequestsError(TooManyError):
    """The subject has as many requests under way as it may have."""

    retry_after_seconds = 1

    def __init__(self) -> None:
        super().__init__("too many of your requests are under way; wait for some of them to end")


class RequestsUnderWay:
    """Counts the requests of each subject that are being answered, but for streams and held polls."""

    def __init__(self) -> None:
        self._open = Counter[tuple[str, str]]()

    def begin(self, who: Principal) -> None:
        """Count a request until `end`. Raises TooManyRequestsError."""
        subject = (who.tenant, who.subject)
        if self._open[subject] >= bootstrap.settings().requests_per_subject:
            raise TooManyRequestsError
        self._open[subject] += 1

    def end(self, who: Principal) -> None:
        """Count it no longer."""
        subject = (who.tenant, who.subject)
        self._open[subject] -= 1
        if not self._open[subject]:
            del self._open[subject]

    @contextmanager
    def as_stream(self, who: Principal, flows: int = 1) -> Generator[None]:
        """Count a request as a stream of so many flows instead, within. Raises TooManyStreamsError."""
        with bootstrap.stream_limiter().slot(who, flows):
            self.end(who)
            try:
                yield
            finally:
                self._open[who.tenant, who.subject] += 1  # until the request has ended, too


under_way = RequestsUnderWay()

"""How much of bodies that have yet to end one subject may have in a process.

What has arrived of a body is held until its last byte comes, which may be never.
"""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

from core.errors import TooManyError
from core.identity import Principal

BYTES_PER_SUBJECT = 32 * 1024**2  # eight of the largest bodies at once


class OpenBodies:
    """Counts the bytes that have arrived of the open bodies of each subject."""

    def __init__(self) -> None:
        self._bytes = Counter[tuple[str, str]]()

    @contextmanager
    def count(self, who: Principal | None) -> Generator[Callable[[int], None]]:
        """Yield what to call with the size of each part of a body; they count until the context ends.

        It raises TooManyError for more than a subject may have. Who brings no token may send no
        more than a few kilobytes, which are not counted.
        """
        subject, arrived = (who.tenant, who.subject) if who else ("", ""), 0

        def add(size: int) -> None:
            nonlocal arrived
            if who is not None and self._bytes[subject] + size > BYTES_PER_SUBJECT:
                raise TooManyError("too much of your other bodies has yet to end")
            arrived += size
            self._bytes[subject] += size

        try:
            yield add
        finally:
            self._bytes[subject] -= arrived
            if not self._bytes[subject]:
                del self._bytes[subject]


open_bodies = OpenBodies()

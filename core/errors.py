"""What can go wrong, in a few classes that every host translates the same way.

What goes wrong for whoever asked is one of these, by an adapter or the core; `functions._http.problems`
maps each class to its HTTP status. (What is between the core and an adapter, like FencedError of the
ledger, is the port's own.) The message is for the person at the other end: it says what to do and never carries a
secret, a key or the input itself. Of `loggable` ones it stands in tracebacks, too (`core.logs`).
"""

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

POINTERS = 40  # more do not fit into a problem document


class CrewlineError(Exception):
    """Base of all errors that a caller is meant to see."""


class InvalidInputError(CrewlineError):
    """The request cannot be understood; `pointers` name the fields (JSON pointers) and why.

    Of a field with several faults all are told. Only the first POINTERS pairs are taken, so that pairs which are made one by one cost no more,
    however much of the input is wrong.
    """

    def __init__(
        self, message: str, pointers: dict[str, str] | Iterator[tuple[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        pairs = pointers.items() if isinstance(pointers, dict) else pointers or ()
        self.pointers = dict[str, str]()
        for pointer, why in islice(pairs, POINTERS):
            told = self.pointers.get(pointer)
            self.pointers[pointer] = f"{told}; {why}" if told else why


class TooLargeError(InvalidInputError):
    """It is larger than the store takes. Trying again cannot help; a step fails of it, in words."""

    loggable: ClassVar[bool] = True


class UnauthenticatedError(CrewlineError):
    """Nobody we know: the token is missing, expired or not ours."""


class ForbiddenError(CrewlineError):
    """Known, but without the scope that this takes."""


class NotFoundError(CrewlineError):
    """There is no such thing, or it is another tenant's: the two look alike on purpose.

    So its message never leaves the process: whoever asked gets the same words for either.
    """


class NothingThereError(NotFoundError):
    """There is no such thing, and no secret in that: the message is shown."""


class ConflictError(CrewlineError):
    """It contradicts what is already there."""


class TooManyError(CrewlineError):
    """The subject has too much under way at once; worth another try after `retry_after_seconds`."""

    retry_after_seconds: ClassVar[int] = 5


class UnavailableError(CrewlineError):
    """A part we depend on does not answer; worth another try after `retry_after_seconds`.

    `lasts_seconds` is how long it will at least last, where that is known (an exhausted quota);
    0 where the next try may succeed.
    """

    loggable: ClassVar[bool] = True

    def __init__(
        self, message: str, retry_after_seconds: int = 2, *, lasts_seconds: int = 0
    ) -> None:
        super().__init__(message)
        self.retry_after_seconds = max(retry_after_seconds, lasts_seconds)
        self.lasts_seconds = lasts_seconds

"""Contexts: what was known when an action was chosen, as any JSON object; checked and flattened.

    {"column": "ZIP_5", "siblings": ["LAT", "LONG"]}
    -> Leaf("column", "ZIP_5"), Leaf("siblings", "LAT", listed=True), Leaf("siblings", "LONG", ...)

What is too large, too deep or no JSON is refused in words. Looking at a context takes time linear
in its size, and no more than the limits allow, whatever it holds.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from core import json_text
from core.errors import InvalidInputError, TooLargeError

MAX_BYTES = 64 * 1024  # of names and texts, in UTF-8
MAX_DEPTH = 32
_LEAST_BYTES = 2  # of a value in JSON, with its comma
_NAME, _FIELD = 64, 256  # characters that are kept of a name, of the names that lead to a value

Value = str | int | float | bool | None
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of a context, and the names that lead to it: `address.city`. Lists add no name."""

    field: str
    value: Value
    listed: bool = False


def leaves(context: Mapping[str, Any]) -> list[Leaf]:
    """Return the values of a context in their order.

    Raises InvalidInputError, with a pointer to the part, for a name that is no string, NaN, an
    infinity, a value that JSON does not have or more than 32 levels; TooLargeError over 64 kB.
    """
    if not isinstance(context, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _refused("must be an object", ())
    return list(_Walk().of(context, (), "", listed=False))


def digest(context: Mapping[str, Any]) -> bytes:
    """Return 16 bytes that two contexts share if they are the same, whatever the order of names.

    Raises InvalidInputError as `leaves` does.
    """
    leaves(context)
    return digest_of_checked(context)


def digest_of_checked(context: Mapping[str, Any]) -> bytes:
    """Return the digest of a context that `leaves` has not refused."""
    text = json_text.compact_bytes(_sorted(context))
    return hashlib.blake2b(text, digest_size=16).digest()


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        pairs = cast("Mapping[str, Any]", value)
        return {name: _sorted(pairs[name]) for name in sorted(pairs)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in cast("list[Any]", value)]
    return value


class _Walk:
    """One look at a context; counts the bytes that it has seen.

    The pointer to a part is made only where it is refused, and names are cut in the fields they
    lead to: thousands of values below one long name cost no more than others.
    """

    def __init__(self) -> None:
        self._left = MAX_BYTES

    def of(self, value: Any, place: Place, field: str, *, listed: bool) -> Iterator[Leaf]:
        if isinstance(value, Mapping):
            yield from self._object(cast("Mapping[Any, Any]", value), place, field, listed)
        elif isinstance(value, list | tuple):
            yield from self._list(cast("list[Any]", value), place, field)
        else:
            yield Leaf(field, self._scalar(value, place), listed)

    def _object(
        self, pairs: Mapping[Any, Any], place: Place, field: str, listed: bool
    ) -> Iterator[Leaf]:
        self._enter(place)
        for name, value in pairs.items():
            if not isinstance(name, str):
                raise _refused("a name must be a string", place)
            self._count(name)
            inner = f"{field}.{name[:_NAME]}"[-_FIELD:] if field else name[:_NAME]
            yield from self.of(value, (*place, name), inner, listed=listed)

    def _list(self, items: list[Any], place: Place, field: str) -> Iterator[Leaf]:
        self._enter(place)
        for number, item in enumerate(items):
            yield from self.of(item, (*place, number), field, listed=True)

    def _enter(self, place: Place) -> None:
        self._take(_LEAST_BYTES)
        if len(place) >= MAX_DEPTH:
            raise _refused(f"must be at most {MAX_DEPTH} levels deep", place)

    def _scalar(self, value: Any, place: Place) -> Value:
        if isinstance(value, str):
            self._count(value)
        elif value is None or isinstance(value, bool | int | float):
            self._number(value, place)
        else:
            raise _refused("must be a JSON value", place)
        return value

    def _number(self, value: float | None, place: Place) -> None:
        self._take(value.bit_length() // 4 if isinstance(value, int) else _LEAST_BYTES)
        if isinstance(value, float) and not math.isfinite(value):
            raise _refused("must be a finite number", place)

    def _count(self, text: str) -> None:
        self._take(len(text))  # before it is encoded: UTF-8 is no shorter
        self._take(len(text.encode("utf-8", "replace")) - len(text) + _LEAST_BYTES)

    def _take(self, size: int) -> None:
        self._left -= max(size, 0)
        if self._left < 0:
            raise TooLargeError(f"a context may have at most {MAX_BYTES} bytes")


def _refused(why: str, place: Place) -> InvalidInputError:
    """Return the error with the JSON pointer of a part, and no more of it than fits an answer."""
    names = [str(name)[:_NAME].replace("~", "~0").replace("/", "~1") for name in place]
    return InvalidInputError(f"the context is refused: a part of it {why}", {
        "/" + "/".join(["context", *names]): why
    })  # fmt: skip

"""JSON as all that is stored and sent has it: in few bytes, and of text that UTF-8 can hold.

A string of Python's, and a JSON escape, may hold half of a character (a lone surrogate). No UTF-8
can, so it becomes a question mark wherever text leaves the process.
"""

import json
import json.scanner
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, TypeVar, cast

T = TypeVar("T")
PIECE_CHARACTERS = 16 * 1024


def compact(value: Any) -> str:
    """Return a value as one line of JSON. Raises ValueError for NaN and infinities."""
    return compact_bytes(value).decode()


def compact_bytes(value: Any) -> bytes:
    """Return the same in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


@cache
def _decoder() -> json.JSONDecoder:
    """Return what reads lists and objects in Python; texts and numbers still in C."""
    decoder = json.JSONDecoder()
    decoder.scan_once = json.scanner.py_make_scanner(decoder)  # type: ignore[attr-defined]
    return decoder


def loads_in_turns(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8, letting other threads have their turn between two texts in it.

    `json.loads` keeps the interpreter until it is done: of a megabyte, 10 ms, whichever thread it runs
    in. This takes longer in all. Raises ValueError.
    """
    return _decoder().decode(body.decode())


def encodable(text: str) -> str:
    """Return a text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def pieces(value: Any) -> Iterator[bytes]:
    """Yield the same in pieces of some PIECE_CHARACTERS, none of which takes a millisecond to make.

    Encoding a value of many megabytes in one go holds up every other task of its process.
    """
    gathered, characters = list[str](), 0
    for text in _texts(value):
        gathered.append(text)
        characters += len(text)
        if characters >= PIECE_CHARACTERS:
            yield "".join(gathered).encode("utf-8", "replace")
            gathered, characters = [], 0
    if gathered:
        yield "".join(gathered).encode("utf-8", "replace")


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str() if len(value) > PIECE_CHARACTERS:
            yield '"'
            for start in range(0, len(value), PIECE_CHARACTERS):
                yield json.dumps(value[start : start + PIECE_CHARACTERS], ensure_ascii=False)[1:-1]
            yield '"'
        case dict():
            members = cast("dict[str, Any]", value)
            yield from _joined("{", members.items(), _member, "}")
        case list():
            yield from _joined("[", cast("list[Any]", value), _texts, "]")
        case _:
            yield compact(value)


def _member(member: tuple[str, Any]) -> Iterator[str]:
    yield json.dumps(member[0], ensure_ascii=False) + ":"
    yield from _texts(member[1])


def _joined(
    first: str, items: Iterable[T], texts: Callable[[T], Iterator[str]], last: str
) -> Iterator[str]:
    """Yield the texts of all items, commas between them."""
    yield first
    for place, item in enumerate(items):
        if place:
            yield ","
        yield from texts(item)
    yield last

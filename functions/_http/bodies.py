"""Bodies: read up to a limit, and JSON only as every reader would understand it."""

import asyncio
import gc
import json
import math
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request

from core import bootstrap, cpu
from functions._http import auth
from functions._http.open_bodies import open_bodies

DEPTH = 64
VALUES = 100_000  # names of members among them: a list or a name takes 0.5 us and 56 bytes
INTEGER_LIMIT = 2**53  # beyond it JavaScript, and Lua in Redis, would change the number
CONTAINERS = (dict, list)
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # a raw one is not UTF-8


async def read_bytes(request: Request, limit: int, hint: str = "") -> bytes:
    """Return the body, counting its bytes as they arrive.

    Raises HTTPException 413, which ends with the hint, 415, 408 if it takes too long, and
    TooManyError if too much has arrived of other bodies of the subject that have yet to end.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "send the body without a content-encoding")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        _too_large(limit, hint)
    with open_bodies.count(auth.principal(request.scope)) as count:
        try:
            async with asyncio.timeout(bootstrap.settings().body_seconds):
                return await _all_bytes(request, limit, hint, count)
        except TimeoutError:
            raise HTTPException(408, "the body did not arrive in time") from None


async def _all_bytes(
    request: Request, limit: int, hint: str, count: Callable[[int], None]
) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        count(len(chunk))
        body += chunk
        if len(body) > limit:
            _too_large(limit, hint)
    return bytes(body)


def _too_large(limit: int, hint: str) -> NoReturn:
    raise HTTPException(413, f"the body may have at most {limit} bytes{hint}")


async def read_json(request: Request, limit: int) -> Any:
    """Return the body as JSON of which every reader makes the same.

    Raises HTTPException: 415 for another content type, 413 over `limit` bytes, and 400 for what
    is not JSON in UTF-8, or has NaN, infinities, lone surrogates, an integer beyond 2^53, a key
    twice in one object, more than 64 levels or 100,000 values and names.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise HTTPException(415, "send application/json")
    body = await read_bytes(request, limit)
    try:
        return await cpu.run(auth.tenant(request.scope), _parsed, body, len(body), rests=True)
    except _RefusedError as error:
        raise HTTPException(400, f"the body has {error}") from error
    except (ValueError, RecursionError) as error:
        nothing = "" if body else "; it is empty"
        raise HTTPException(400, f"the body is not JSON in UTF-8{nothing}") from error


class _RefusedError(ValueError):
    """Readable, but another reader would make something else of it."""


def _parsed(body: bytes) -> Any:
    """Return the JSON of a body; a byte order mark, as .NET sends one, is passed over."""
    if _has_too_many_values(body):
        raise _RefusedError(f"more than {VALUES} values and names")
    try:
        with collector_off():
            value = json.loads(
                body.decode("utf-8-sig"), parse_constant=_not_finite, object_pairs_hook=_object
            )
    except (json.JSONDecodeError, UnicodeDecodeError, _RefusedError):
        raise
    except ValueError as error:  # Python reads no integer of more than 4,300 digits
        raise _RefusedError("an integer beyond 2^53") from error
    _check_levels(value)
    if SURROGATE.search(body):
        _check_surrogates(value)
    return value


def _has_too_many_values(body: bytes) -> bool:
    """Tell whether a body has more than VALUES values and names, in a few milliseconds a megabyte."""
    if _openings(body) < VALUES:
        return False
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"")  # no quote that is left is escaped
    if plain.count(b'"') > 2 * VALUES:
        return True  # each text is a value or a name
    bare = b'"'.join(plain.split(b'"')[::2]).translate(None, b" \t\r\n")
    return _openings(bare) - bare.count(b"[]") - bare.count(b"{}") >= VALUES


def _openings(text: bytes) -> int:
    """Return how often a value or a name may begin: the first does, and one behind each of these."""
    return sum(map(text.count, (b",", b"[", b"{", b":")))


@contextmanager
def collector_off() -> Generator[None]:
    """Keep the collector of garbage away: of 100,000 lists it takes four times what reading them does.

    What JSON makes, or is made of, has no circles, so there is nothing to collect in it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _not_finite(_: str) -> NoReturn:
    raise _RefusedError("a number that is not finite")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _RefusedError("the same key twice in one object")
    return members


def _check_levels(value: Any) -> None:
    """Go down level by level, so that depth costs no stack; each value is looked at once."""
    level: list[Any] = [value]
    for _ in range(DEPTH):
        _check_numbers(level)
        level = [child for node in level if type(node) in CONTAINERS for child in _children(node)]
    _check_numbers(level)
    if any(type(node) in CONTAINERS for node in level):
        raise _RefusedError(f"more than {DEPTH} levels")


def _check_numbers(values: list[Any]) -> None:
    for value in values:
        if type(value) is int and not -INTEGER_LIMIT <= value <= INTEGER_LIMIT:
            raise _RefusedError("an integer beyond 2^53")
        if type(value) is float and not math.isfinite(value):
            raise _RefusedError("a number that is not finite")


def _children(container: Any) -> Iterable[Any]:
    return container.values() if type(container) is dict else container  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] -- JSON


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise _RefusedError("a lone surrogate") from error

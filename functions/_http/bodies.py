"""Bodies: read up to a limit, and JSON only as every reader would understand it."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request

from core import cpu

DEPTH = 64
INTEGER_LIMIT = 2**53  # beyond it JavaScript, and Lua in Redis, would change the number
INTEGER_DIGITS = 16
CONTAINERS = (dict, list)
# Any integer beyond 2^53 has 16 digits; any float beyond the largest these, or three of an exponent.
FAR_NUMBER = re.compile(rb"[0-9]{16}|[eE]\+?[0-9]{3}")
FAR_BYTES = INTEGER_DIGITS  # the longest that it matches
SEARCHED_BYTES = 16 * 1024
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # a raw one is not UTF-8


async def read_bytes(request: Request, limit: int, hint: str = "") -> bytes:
    """Return the body, counting its bytes as they arrive.

    Raises HTTPException 413, which ends with the hint, and 415.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "send the body without a content-encoding")
    declared = request.headers.get("content-length", "")
    body = bytearray()
    if declared.isdecimal() and int(declared[:20]) > limit:
        _too_large(limit, hint)
    async for chunk in request.stream():
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
    twice in one object, or more than 64 levels.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise HTTPException(415, "send application/json")
    body = await read_bytes(request, limit)
    try:
        return await cpu.run(_parsed, body, len(body))
    except _RefusedError as error:
        raise HTTPException(400, f"the body has {error}") from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is not JSON in UTF-8") from error


class _RefusedError(ValueError):
    """Readable, but another reader would make something else of it."""


def _parsed(body: bytes) -> Any:
    """Return the JSON of a body. Python looks at single numbers only where one may be refused."""
    look = _has_far_number(body)
    value = json.loads(
        body.decode(),
        parse_int=_integer if look else None,
        parse_float=_float if look else None,
        parse_constant=_float,
        object_pairs_hook=_object,
    )
    _check_depth(value)
    if SURROGATE.search(body):
        _check_surrogates(value)
    return value


def _has_far_number(body: bytes) -> bool:
    """Look in parts: nothing else in this process runs while one is searched."""
    starts = range(0, len(body), SEARCHED_BYTES)
    return any(FAR_NUMBER.search(body, at, at + SEARCHED_BYTES + FAR_BYTES) for at in starts)


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > INTEGER_DIGITS or abs(int(digits)) > INTEGER_LIMIT:
        raise _RefusedError("an integer beyond 2^53")
    return int(digits)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _RefusedError("a number that is not finite")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _RefusedError("the same key twice in one object")
    return members


def _check_depth(value: Any) -> None:
    """Go down level by level, so that depth costs no stack; each value is looked at once."""
    level: list[Any] = [value] if type(value) in CONTAINERS else []
    for _ in range(DEPTH):
        level = [child for node in level for child in _children(node) if type(child) in CONTAINERS]
    if level:
        raise _RefusedError(f"more than {DEPTH} levels")


def _children(container: Any) -> Iterable[Any]:
    return container.values() if type(container) is dict else container  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] -- JSON


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise _RefusedError("a lone surrogate") from error

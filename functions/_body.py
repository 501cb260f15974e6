"""Bodies: read up to a limit, and JSON only as every reader would understand it."""

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request

DEPTH = 64
INTEGER_LIMIT = 2**53  # beyond it JavaScript, and Lua in Redis, would change the number
INTEGER_DIGITS = 16


async def read_bytes(request: Request, limit: int) -> bytes:
    """Return the body, counting its bytes as they arrive. Raises HTTPException 413 and 415."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "send the body without a content-encoding")
    declared = request.headers.get("content-length", "")
    body = bytearray()
    if declared.isdecimal() and int(declared[:20]) > limit:
        _too_large(limit)
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> NoReturn:
    raise HTTPException(413, f"the body may have at most {limit} bytes")


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
        return _parsed(body)
    except _RefusedError as error:
        raise HTTPException(400, f"the body has {error}") from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is not JSON in UTF-8") from error


class _RefusedError(ValueError):
    """Readable, but another reader would make something else of it."""


def _parsed(body: bytes) -> Any:
    value = json.loads(
        body.decode(),
        parse_int=_integer,
        parse_float=_float,
        parse_constant=_float,
        object_pairs_hook=_object,
    )
    _check_depth(value)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise _RefusedError("a lone surrogate") from error
    return value


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
    """Go down level by level, so that depth costs no stack."""
    level = [value]
    for _ in range(DEPTH):
        level = [child for node in level for child in _children(node)]
    if any(isinstance(node, dict | list) for node in level):
        raise _RefusedError(f"more than {DEPTH} levels")


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] -- JSON
    return node if isinstance(node, list) else ()  # pyright: ignore[reportUnknownVariableType] -- JSON

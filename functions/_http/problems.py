"""Problems: what goes wrong, told as RFC 9457 wants it.

One map leads from the errors of the core to HTTP, and one from each status to the type and title of its
problems, whoever raised them (docs/problems.md). A problem says what to do in under 2 kB; it repeats
nothing of the input but the names of fields, and shows no trace. What nobody expected is logged, and
is a plain 500 to the caller.
"""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import (
    ConflictError,
    CrewlineError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NothingThereError,
    TooManyError,
    UnauthenticatedError,
    UnavailableError,
)
from core.json_text import compact_bytes

log = logging.getLogger(__name__)

STATUS: Mapping[type[CrewlineError], int] = {
    InvalidInputError: 422,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    TooManyError: 429,
    UnavailableError: 503,
}
# Python's own phrases differ from version to version.
TYPES: Mapping[int, tuple[str, str]] = {
    400: ("bad-request", "Bad request"),
    401: ("unauthenticated", "Not authenticated"),
    403: ("forbidden", "Not permitted"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    408: ("request-timeout", "Request timeout"),
    409: ("conflict", "Conflict"),
    413: ("too-large", "Content too large"),
    414: ("uri-too-long", "URI too long"),
    415: ("unsupported-media-type", "Unsupported media type"),
    422: ("invalid-input", "Invalid request"),
    429: ("too-many-requests", "Too many requests"),
    431: ("headers-too-large", "Request header fields too large"),
    500: ("internal", "Internal server error"),
    501: ("not-implemented", "Not implemented"),
    503: ("unavailable", "Unavailable"),
}
TYPE_PREFIX = "urn:crewline:problem:"
NO_ROUTE = "no such route: paths begin with /v1 or /amp, and have no slash at their end"
DOCUMENT_BYTES = 2000
DETAIL_BYTES = 300
POINTER_BYTES = 100
REASON_BYTES = 240  # it may list what there is
CONTROL = re.compile(r"[\x00-\x1f]")  # JSON takes six bytes for one of these


def response(error: Exception) -> Response:
    """Return the problem document that tells of this error."""
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.NOT_FOUND:
        error = NothingThereError(NO_ROUTE)
    document, headers = _described(error)
    return Response(
        encoded({name: value for name, value in document.items() if value}),
        document["status"],
        headers,
        "application/problem+json",
    )


def _described(error: Exception) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the document and the headers that go with it."""
    if isinstance(error, HTTPException):
        said = None if error.detail == HTTPStatus(error.status_code).phrase else error.detail
        return _document(error.status_code, said), dict(error.headers or {})
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)
    if status is None:
        return _document(500, "the fault is ours; it was written down"), {}
    hidden = isinstance(error, NotFoundError) and not isinstance(error, NothingThereError)
    document = _document(status, None if hidden else str(error))
    if isinstance(error, InvalidInputError):
        document["errors"] = _fields(error.pointers)
    return document, _headers(error)


def _document(status: int, detail: str | None) -> dict[str, Any]:
    """Return what a problem of this status says, and the sentence about this one."""
    name, title = TYPES.get(status) or TYPES[500 if status >= 500 else 400]  # noqa: PLR2004
    said = detail and _cut(detail, DETAIL_BYTES)
    return {"type": f"{TYPE_PREFIX}{name}", "title": title, "status": status, "detail": said}


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, UnauthenticatedError):
        return {"www-authenticate": "Bearer"}
    if isinstance(error, (TooManyError, UnavailableError)):
        return {"retry-after": str(error.retry_after_seconds)}
    return {}


def _fields(pointers: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"pointer": _cut(pointer, POINTER_BYTES), "detail": _cut(reason, REASON_BYTES)}
        for pointer, reason in pointers.items()
    ]


def _cut(text: str, size: int) -> str:
    """Return the beginning of a text, at most `size` bytes of UTF-8, which JSON at most doubles."""
    plain = CONTROL.sub(" ", text[:size])
    return plain.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def encoded(document: dict[str, Any]) -> bytes:
    """Return a document as JSON, in less than DOCUMENT_BYTES, with as many of its field errors as fit.

    Each of them is encoded once, and no more of them than fit.
    """
    fields: list[dict[str, str]] = document.get("errors", [])
    body = compact_bytes(document | {"errors": []} if fields else document)
    room = DOCUMENT_BYTES - len(body)
    texts = list[bytes]()
    for text in map(compact_bytes, fields):
        room -= len(text) + bool(texts)
        if room <= 0:
            break
        texts.append(text)
    return body.replace(b'"errors":[]', b'"errors":[' + b",".join(texts) + b"]", 1)


class BrokenOffError(Exception):
    """An answer ends in its middle. Why is in the log; servers would print what another error says."""


class Problems:
    """ASGI: the last resort, so that every error of an app becomes a problem document.

    Raises BrokenOffError when the answer has begun.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is left to be told
        except Exception as error:
            if isinstance(error, BrokenOffError) or scope["type"] != "http":
                raise
            if begun or not isinstance(error, CrewlineError):
                asked = {"method": scope["method"], "path": scope["path"]}
                log.exception("a request failed unexpectedly", extra=asked)
            if begun:
                raise BrokenOffError from None
            await response(error)(scope, receive, send)

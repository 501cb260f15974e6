"""CORS: pages of the origins in the settings may call us; of all others, browsers keep them off.

No credentials are allowed, as none are needed: a page sends its token in a header.
"""

from functools import cache

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import bootstrap
from functions._http.edge import METHODS

ALLOWED = (
    "Authorization", "Baggage", "Cache-Control", "Content-Type", "Idempotency-Key", "If-None-Match",
    "Last-Event-ID", "Prefer", "Sentry-Trace", "Traceparent", "X-Request-ID", "X-Requested-With",
)  # fmt: skip
EXPOSED = ("ETag", "Location", "Preference-Applied", "Retry-After", "X-Request-ID")
PREFLIGHT_SECONDS = 7200  # Chromium remembers no longer


class CrossOrigin:
    """ASGI: Starlette's CORS, made when the settings are first needed; none without origins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._allowing = cache(self._allow)

    def _allow(self, origins: tuple[str, ...]) -> ASGIApp:
        if not origins:
            return self.app
        return CORSMiddleware(
            self.app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=ALLOWED,
            expose_headers=EXPOSED,
            max_age=PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origins = bootstrap.settings().cors_origins if scope["type"] == "http" else ()
        await self._allowing(origins)(scope, receive, _Sender(send) if origins else send)


class _Sender:
    """Says of every answer that it depends on the origin; Starlette says it of some."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = dict[bytes, bytes](message["headers"])  # none of ours comes twice
            vary_on_origin(headers)
            message["headers"] = list(headers.items())
        await self._send(message)


def vary_on_origin(headers: dict[bytes, bytes]) -> None:
    """Add Origin to Vary where pages of some origins may read the answer, and others may not."""
    vary = headers.get(b"vary", b"")
    if bootstrap.settings().cors_origins and b"origin" not in vary.lower():
        headers[b"vary"] = vary + b", Origin" if vary else b"Origin"

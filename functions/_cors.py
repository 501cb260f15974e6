"""CORS: pages of the origins in the settings may call us; of all others, browsers keep them off.

No credentials are allowed, as none are needed: a page sends its token in a header.
"""

from functools import cache

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from core import bootstrap

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
ALLOWED = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer",
)  # fmt: skip
EXPOSED = ("ETag", "Location", "Preference-Applied", "Retry-After")
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
        await self._allowing(origins)(scope, receive, send)

"""What calls functions over HTTP beside clients: messages that QStash signs, and Vercel's crons."""

import hmac
import json
from typing import Any, TypeGuard, cast

from starlette.requests import Request

from core import bootstrap, identity
from core.errors import NotFoundError, UnauthenticatedError
from functions._http import auth, bodies

MESSAGE_BYTES = 4096


async def read_signed(request: Request, url: str | None) -> bytes:
    """Return the body of a request that QStash sent to `url`, this function's public address.

    Raises UnauthenticatedError if it did not; NotFoundError where QStash is not in use.
    """
    verifier = bootstrap.wake_verifier()
    if verifier is None or url is None:
        raise NotFoundError("nothing here is woken over QStash")
    body = await bodies.read_bytes(request, MESSAGE_BYTES)
    verifier.verify(request.headers.get("upstash-signature", ""), body, url)
    return body


def require_cron(request: Request) -> None:
    """Return if one of Vercel's crons sent this: they bring CRON_SECRET for a bearer token.

    Raises UnauthenticatedError if none did; NotFoundError where there is no such secret.
    """
    secret = bootstrap.settings().cron_secret
    if secret is None:
        raise NotFoundError("nothing here is called by a cron")
    lines = [value for name, value in request.headers.raw if name == b"authorization"]
    if not hmac.compare_digest(auth.bearer(lines).encode(), secret.encode()):
        raise UnauthenticatedError("this is for the crons of this deployment")


def named_flow(body: str) -> tuple[str, str] | None:
    """Return tenant and flow of a message; None if it is none of ours, whatever it is."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    message = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    tenant, flow = message.get("tenant"), message.get("flow")
    return (tenant, flow) if _is_id(tenant) and _is_id(flow) else None


def _is_id(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and identity.ID.fullmatch(value) is not None

"""Answers that change seldom: told by their digest, so that who has one is not sent it again."""

import hashlib
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from core import cpu
from core.identity import Principal

HEADERS = {"cache-control": "private, no-cache", "vary": "Authorization, Accept"}


async def tagged(
    request: Request, who: Principal, text: str, headers: Mapping[str, str]
) -> Response:
    """Return the text, or 304 to a caller who has it; its tag is its digest."""
    body, etag = await cpu.run(who.tenant, _body, text, len(text))
    kept = {**HEADERS, "etag": etag}
    known = request.headers.get("if-none-match", "")
    if etag in {tag.strip().removeprefix("W/") for tag in known.split(",")}:
        return Response(status_code=304, headers=kept)  # what is said of a body it has not
    return Response(body, headers={**kept, **headers})


def _body(text: str) -> tuple[bytes, str]:
    body = text.encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'

"""The page and the browser client, served without a token as a static host would."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

PUBLIC = Path(__file__).parents[1] / "public"
SERVED = (".html", ".css", ".js")
HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def _file(path: Path) -> Route:
    async def served(_: Request) -> Response:
        return FileResponse(path, headers=HEADERS)

    return Route("/" if path.name == "index.html" else f"/{path.name}", served)


app = Starlette(routes=[_file(path) for path in PUBLIC.iterdir() if path.suffix in SERVED])

"""The least that any answer costs: uvicorn and a constant 304, nothing asked of anybody.

benchmarks.floor:app
"""

from starlette.types import Receive, Scope, Send


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer that nothing has changed."""
    del receive
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b'"1"')]})
        await send({"type": "http.response.body"})

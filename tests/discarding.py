"""A server like the container's that reads what it is sent and discards it: what a sender costs by itself.

python -m tests.discarding PORT CERTIFICATE KEY
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from infra.container.serve import Listening, serve

ANSWER = b'{"id":"fl_0"}'
HEAD = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def discard(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": HEAD})
        await send({"type": "http.response.body", "body": ANSWER})


def main(port: str, certificate: str, key: str) -> None:
    """Serve until the process is killed."""
    listening = Listening(int(port), Path(certificate), Path(key))
    asyncio.run(serve(discard, listening, asyncio.Event()))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Apps on the runtime of functions that stream, in the event loop of a test, and a real Runtime API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from infra.aws.streaming import hosting, runtime_api
from infra.draining import Draining
from tests.e2e.apps import rest_event
from tests.hosts.runtime_api import Answer, Invoked, RuntimeApi

EVENT = rest_event("GET", "/", {})


@asynccontextmanager
async def hosted(app: ASGIApp, stopping: asyncio.Event | None = None) -> AsyncIterator[RuntimeApi]:
    """Run an app on the runtime, in this event loop; both must have ended well."""
    stopping = stopping or asyncio.Event()
    with RuntimeApi() as api:
        host = hosting.Host(Draining(app, stopping), runtime_api.RuntimeApi(api.address))
        serving = asyncio.create_task(host.serve(stopping))
        yield api
        stopping.set()
        await asyncio.wait_for(serving, 5)


async def answered(invoked: Invoked) -> Answer:
    return await asyncio.to_thread(invoked.answer)


async def first_piece(invoked: Invoked) -> bytes:
    return await asyncio.to_thread(lambda: next(invoked.pieces()))


async def begin(send: Send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def body(send: Send, data: bytes = b"", *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def fine(scope: Scope, _: Receive, send: Send) -> None:
    await begin(send)
    await body(send, scope["path"].encode())


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Stream until the client is gone; fine otherwise."""
    if scope["path"] == "/fine":
        await fine(scope, receive, send)
        return
    await receive()
    gone = asyncio.create_task(receive())
    await begin(send)
    while not gone.done():
        await body(send, b"x", more=True)
        await asyncio.sleep(0.01)


async def is_fine(api: RuntimeApi) -> bool:
    """Tell whether the runtime still answers."""
    answer = await answered(api.invoke(rest_event("GET", "/fine", {})))
    return (answer.status, answer.body) == (200, b"/fine")

"""The gateway's ASGI application.

Raw ASGI on purpose: it lies under every command of a local run. The protocol is that of
https://upstash.com/docs/redis/features/restapi. A single server is always in step
with itself; with a replica reads lag and sync tokens mean something (`replica`). Not here: JSON
documents, read-only tokens; limits and refusals only when they are asked for (`conditions`).
"""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

import hiredis

from infra.local.gateway import admission, commands, conditions, responses
from infra.local.gateway.admission import Receive, Refused, Request, Scope
from infra.local.gateway.conditions import Conditions
from infra.local.gateway.replica import Address, LaggingPair
from infra.local.gateway.resp import (
    Command,
    Connection,
    Reply,
    Subscription,
    Unreachable,
    exchange_bytes,
)
from infra.local.gateway.responses import Encode, Response, Send
from infra.local.gateway.scripts import Scripts

ALWAYS_IN_STEP = "0"  # the sync token of a single server


class Gateway:
    """The ASGI application."""

    def __init__(
        self, redis: Address, token: str, *, replica: Address | None, adjustable: bool
    ) -> None:
        self._address = redis
        self._token = token.encode()
        self._redis = Connection(*redis)
        self._adjustable = adjustable
        self._conditions = Conditions()
        self._pair = LaggingPair(redis, replica, self._conditions) if replica else None
        self._scripts = Scripts()
        self._streams: set[Subscription] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            limit = self._conditions.request_bytes
            request = await admission.admit(scope, receive, self._token, limit)
            if self._adjustable and request.path == conditions.PATH:
                await responses.respond(send, self._adjust(request))
                return
            if request.is_stream:
                await self._stream(request.command(), receive, send)
                return
            answer = await self._answer(request)
        except Refused as refused:
            answer = responses.failure(refused.status, refused.message)
        except commands.Malformed as error:
            answer = responses.failure(400, f"ERR {error}")
        except Unreachable as error:
            answer = responses.failure(503, f"ERR the Redis server is not reachable: {error}")
        await responses.respond(send, answer)

    def close_streams(self) -> None:
        """End every subscription, which would otherwise keep a server from stopping."""
        for subscription in tuple(self._streams):
            subscription.close()

    def _adjust(self, request: Request) -> Response:
        return Response(200, json.dumps(self._conditions.adjust(request.body)).encode())

    async def _answer(self, request: Request) -> Response:
        encode = responses.base64 if request.in_base64 else responses.plain
        if request.path == b"/multi-exec":
            return await self._transaction(commands.batch_from_json(request.body), encode)
        if request.path == b"/pipeline":
            batch = commands.batch_from_json(request.body)
            return await (
                self._raw(batch) if request.in_resp2 else self._pipeline(batch, request, encode)
            )
        command = request.command()
        return await (
            self._raw([command]) if request.in_resp2 else self._single(command, request, encode)
        )

    async def _run(self, batch: list[Command], sync_token: str) -> tuple[list[Reply], str]:
        """Run the commands where they belong; return the replies and the token of what they saw."""
        reads = all(commands.is_read(command) for command in batch)
        self._conditions.check(writes=not reads)
        if not batch:
            return [], ""
        if self._pair is None:
            return await self._redis.execute(batch), ALWAYS_IN_STEP
        return await (self._pair.read(batch, sync_token) if reads else self._pair.write(batch))

    async def _single(self, command: Command, request: Request, encode: Encode) -> Response:
        [reply], token = await self._run([self._prepare(command)], request.sync_token)
        return responses.of_reply(reply, encode)._replace(sync_token=token)

    async def _pipeline(self, batch: list[Command], request: Request, encode: Encode) -> Response:
        """Answer each command for itself: one that is refused or fails leaves the others alone."""
        refusals = [commands.refusal(command) for command in batch]
        served = [
            self._scripts.rewrite(command)
            for command, refused in zip(batch, refusals, strict=True)
            if refused is None
        ]
        ran, token = await self._run(served, request.sync_token)
        replies = iter(ran)
        return responses.of_batch(
            [
                next(replies) if refused is None else hiredis.ReplyError(refused)
                for refused in refusals
            ],
            encode,
        )._replace(sync_token=token)

    async def _transaction(self, batch: list[Command], encode: Encode) -> Response:
        """All or nothing. Answered in JSON whatever the format asked for, as at Upstash."""
        queued = [self._prepare(command) for command in batch]
        replies, token = await self._run([[b"MULTI"], *queued, [b"EXEC"]], "")
        outcome = replies[-1]
        if isinstance(outcome, hiredis.ReplyError):
            return responses.of_reply(outcome, encode)._replace(sync_token=token)
        return responses.of_batch(outcome, encode)._replace(sync_token=token)

    async def _raw(self, batch: list[Command]) -> Response:
        """RESP2 as the server wrote it."""
        body = await exchange_bytes(*self._address, [self._prepare(command) for command in batch])
        failed = len(batch) == 1 and body.startswith(b"-")
        return Response(400 if failed else 200, body, responses.RESP2)

    def _prepare(self, command: Command) -> Command:
        if refused := commands.refusal(command):
            raise Refused(400, refused)
        return self._scripts.rewrite(command)

    async def _stream(self, command: Command, receive: Receive, send: Send) -> None:
        """Relay a subscription as server-sent events until the client or the server goes."""
        self._conditions.check(writes=False)
        self._conditions.check_streams(len(self._streams))
        subscription = await Subscription.start(*self._address, command)
        self._streams.add(subscription)
        hang_up = asyncio.create_task(_close_on_disconnect(receive, subscription))
        try:
            async with aclosing(subscription.replies()) as replies:
                await _relay(replies, send)
        finally:
            hang_up.cancel()
            self._streams.discard(subscription)
            subscription.close()


async def _relay(replies: AsyncGenerator[Reply, None], send: Send) -> None:
    """Send what comes; the first reply is the acknowledgement, or says what was wrong."""
    acknowledgement = await anext(replies, None)
    if acknowledgement is None:
        raise Unreachable("the server closed the connection")
    if isinstance(acknowledgement, hiredis.ReplyError):
        raise Refused(400, str(acknowledgement))
    await responses.start_events(send)
    await responses.send_event(send, acknowledgement)
    async for reply in replies:
        await responses.send_event(send, reply)
    await responses.end_events(send)


async def _close_on_disconnect(receive: Receive, subscription: Subscription) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscription.close()

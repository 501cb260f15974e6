"""A crew whose flows tell somebody, what they go through, and a service that listens."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from core.crews import strategies
from core.crews.control import FlowControl
from core.crews.definition import Definition
from core.crews.ledger import Claim, StepWrite
from core.flows import Status, events
from core.webhooks.signing import tenant_secret
from tests.fixtures_ports import Flows, a_launch

SECRET = "a-secret-for-webhooks-0123456789-abcdef"
META = {"requestId": "r-1"}
CREW = Definition.model_validate(
    {
        "name": "haiku",
        "description": "d",
        "process": "sequential",
        "inputs": {"type": "object", "properties": {"topic": {"type": "string"}}},
        "agents": {"poet": {"role": "Poet", "goal": "g", "backstory": "b"}},
        "tasks": {
            "find": {"description": "Find words on {topic}", "expected_output": "Words", "agent": "poet"},
            "write": {
                "description": "Write on {topic}",
                "expected_output": "A haiku",
                "agent": "poet",
                "human_input": True,
            },
        },
    }
)  # fmt: skip


@dataclass
class Story:
    """One flow, taken forward as a worker would."""

    flows: Flows
    flow: str = "f1"

    async def launched(self, url: str | None, **kinds: Any) -> "Story":
        """Have steps, tasks and the crew told at paths of this service; or only `kinds`, or nobody."""
        urls = kinds or ({} if url is None else {k: f"{url}/{k}" for k in ("step", "task", "crew")})
        launch = a_launch(
            self.flow,
            crew="haiku",
            definition=CREW.model_dump(mode="json"),
            inputs={"topic": "rain"},
            steps=strategies.initial_steps(CREW),
            webhooks={**urls, "meta": META} if urls else {},
        )
        await self.flows.ledger.create(self.flows.tenant, launch)
        return self

    async def finished(self, step: str, output: Any) -> None:
        ledger, tenant = self.flows.ledger, self.flows.tenant
        state = await ledger.state(tenant, self.flow)
        ready = strategies.TaskGraph(CREW).next_action(state.results)
        assert isinstance(ready, strategies.Ready)
        state = await ledger.add_steps(tenant, state, ready.steps)
        seen = next(s for s in state.steps if s.id == step)
        claim = await ledger.claim(tenant, self.flow, seen, owner=step, lease_ms=9000, events=[])
        assert isinstance(claim, Claim)
        raw = output if isinstance(output, str) else json.dumps(output)
        result = {"output": output, "raw": raw}
        await ledger.commit(claim, 1, result, StepWrite(events.step_finished(step)))

    async def waits(self, review: str, output: str) -> None:
        asked = {
            "review": review,
            "task": "write",
            "step": "write",
            "agent": "Poet",
            "output": output,
        }
        await self._move(Status.WAITING, events.custom("waiting", asked), waiting=asked)

    async def answered(
        self,
        review: str,
        *,
        approve: bool,
        feedback: str = "",
        webhooks: dict[str, str] | None = None,
    ) -> None:
        told = events.custom("resumed", {"review": review, "task": "write", "approved": approve})
        added = {"webhooks": webhooks} if webhooks else {}
        answer = (review, strategies.review_answer(approve, feedback) | added)
        await self._move(Status.RUNNING, told, answer=answer)

    async def ended(self, output: Any = "Oh") -> None:
        await self._move(Status.SUCCEEDED, events.run_finished(self.flow, output), output=output)

    async def cancelled(self) -> None:
        await FlowControl(self.flows.ledger, self.flows.wake_queue).cancel(
            tenant=self.flows.tenant, flow=self.flow
        )

    async def failed(self, error: str = "no words") -> None:
        await self._move(Status.FAILED, events.run_error(error, "step"), error=error)

    async def _move(self, to: Status, told: list[events.Event], **more: Any) -> None:
        state = await self.flows.ledger.state(self.flows.tenant, self.flow)
        epoch = state.status_epoch
        await self.flows.ledger.transition(
            self.flows.tenant, self.flow, to, status_epoch=epoch, events=told, **more
        )

    async def whole(self) -> None:
        """Go through all that can be told, once."""
        await self.finished("find", {"words": ["drop"]})
        await self.finished("write", "Ah")
        await self.waits("write.review.1", "Ah")
        await self.answered("write.review.1", approve=False, feedback="more water")
        await self.finished("write.2", "Oh")
        await self.waits("write.review.2", "Oh")
        await self.answered("write.review.2", approve=True)
        await self.ended()


# What a whole story tells, in order.
WHOLE = ["step", "task", "step", "crew", "step", "crew", "task", "crew"]


@dataclass(frozen=True)
class Posted:
    """One POST as it came."""

    path: str
    headers: dict[str, str]
    content: bytes

    @property
    def kind(self) -> str:
        return self.path.strip("/")

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def number(self) -> tuple[int, int]:
        """The number of the event, and the part of it that is told."""
        *_, number, kind = self.id.split(".")
        return int(number), ["step", "task", "crew"].index(kind)

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.content)

    def signed_for(self, tenant: str) -> bool:
        """Check as a receiver does that knows the tenant's secret, and nothing of our code."""
        key = base64.b64decode(tenant_secret(SECRET, tenant).removeprefix("whsec_"))
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.content
        mac = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        return f"v1,{mac}" in self.headers["webhook-signature"].split(" ")


OK = b"HTTP/1.1 204 No Content\r\n\r\n"
OOPS = b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops"
Answer = Callable[[Posted], bytes | None]


@dataclass
class Receiver:
    """A service that keeps what it is told; `connections` counts those who came at all."""

    answer: Answer
    url: str = ""
    port: int = 0
    posts: list[Posted] = field(default_factory=list[Posted])
    connections: int = 0

    @property
    def kinds(self) -> list[str]:
        return [post.kind for post in self.posts]

    @property
    def hosts(self) -> dict[str, tuple[str, ...]]:
        """The allow-list entry under which it is reached."""
        return {"acme": (self.url,), "t1": (self.url,)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            post = await _read(reader)
            self.posts.append(post)
            reply = self.answer(post)
            if reply is None:
                await asyncio.sleep(30)
            writer.write(reply or b"")
            await writer.drain()
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Posted:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    exact = dict(line.split(": ", 1) for line in lines if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return Posted(first.split(" ")[1], {name.lower(): exact[name] for name in exact}, body)


@asynccontextmanager
async def receiving(
    answer: Answer = lambda _: OK, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Yield a service on a free port of this machine that answers like this."""
    receiver = Receiver(answer)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    receiver.url = (
        f"https://localhost:{receiver.port}" if tls else f"http://127.0.0.1:{receiver.port}"
    )
    try:
        yield receiver
    finally:
        server.close()


async def until(happened: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something has happened. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not happened():  # noqa: ASYNC110 -- what is waited for happens in other processes too
            await asyncio.sleep(0.01)

"""An OpenAI-compatible model that answers after a set time, and notes who asked for what, and when."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from infra.local.processes import free_port


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: of whom (the API key), when it came and when it was answered."""

    key: str
    prompt: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class ModelServer:
    """Answers with what `answer` makes of a prompt, `seconds` later; an async context manager."""

    answer: Callable[[str], str]
    seconds: float = 0.0
    port: int = field(default_factory=free_port)
    asked: list[Asked] = field(default_factory=list[Asked])

    @property
    def url(self) -> str:
        """The base URL that an OpenAI client takes."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes on a connection until it is closed."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                began, fields = time.monotonic(), _fields(head)
                body = json.loads(await reader.readexactly(int(fields["content-length"])))
                await asyncio.sleep(self.seconds)
                prompt = "\n".join(str(message["content"]) for message in body["messages"])
                writer.write(_response(body["model"], self.answer(prompt)))
                key = fields["authorization"].removeprefix("Bearer ")
                self.asked.append(Asked(key, prompt, began, time.monotonic()))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()  # the caller hung up, or the benchmark is over


def _fields(head: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.decode("latin-1").splitlines()[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _response(model: str, text: str) -> bytes:
    body = json.dumps(_completion(model, text)).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def _completion(model: str, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 100, "total_tokens": 500},
    }

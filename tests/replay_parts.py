"""A step of twelve model calls and six tools, and a provider that counts what it is asked."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from core.crews import strategies
from core.crews.ledger import Launch
from tests.crewai_parts import a_crew
from tests.model_server import Provider

CALLS, TOOLS = 12, 6


@dataclass
class LongLoop:
    """Answers by what it is told: each odd call asks for a tool, each even one for one there is not.

    `asked` counts how often each of the twelve was asked; `before` and `after` are told its number.
    """

    provider: Provider
    tool: str = "look"
    first: int = 1  # call of the twelve
    asked: Counter[int] = field(default_factory=Counter[int])
    last: dict[str, Any] = field(default_factory=dict[str, Any])  # request
    before: Callable[[int], None] = lambda _: None

    def __post_init__(self) -> None:
        self.provider.answer = self._answer  # type: ignore[method-assign]

    @property
    def total(self) -> int:
        return sum(self.asked.values())

    def _answer(self, request: dict[str, Any], _: str | None) -> tuple[int, dict[str, Any]]:
        number = self.first + sum(message["role"] == "tool" for message in request["messages"])
        self.before(number)
        self.last = request
        self.asked[number] += 1
        return 200, completion(request["model"], number, self.tool)


def completion(model: str, number: int, tool: str) -> dict[str, Any]:
    """Return the answer to the call of this number."""
    if number == CALLS:
        message: dict[str, Any] = {"role": "assistant", "content": f"Seen {TOOLS} things."}
    else:
        name = tool if number % 2 else "no_such_tool"
        function = {"name": name, "arguments": json.dumps({"at": f"thing {number}"})}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    finish = "stop" if number == CALLS else "tool_calls"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    return {
        "id": f"c{number}", "object": "chat.completion", "created": 0, "model": model,
        "choices": [choice], "usage": usage,
    }  # fmt: skip


def launch(
    flow: str, tools: tuple[str, ...] = ("look",), max_rpm: int | None = None, **task: Any
) -> Launch:
    crew = a_crew(tools=tools, max_iter=20, max_rpm=max_rpm, one=task)
    return Launch(
        flow=flow, digest="d", incarnation="0" * 8, crew=crew.name,
        definition=crew.model_dump(mode="json"), definition_digest=crew.digest(),
        inputs={"what": "it"}, steps=strategies.initial_steps(crew), created_ms=0,
    )  # fmt: skip

"""AMP: a flow in the words of CrewAI AMP's HTTP API, and its shape of an error.

AMP knows running, completed and error; `pending_human_input` is what its guides call a flow that
waits for a person. Outputs are texts there, so what is JSON stands beside its text as `output_json`.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.crews import strategies
from core.crews.definition import Definition
from core.crews.strategies.types import as_text
from core.flows import Flow, Status, Step
from core.webhooks.events import PENDING, structured
from functions import _problem

Answer = dict[str, Any]


def inputs(crew: Definition) -> Answer:
    """Return the names of the inputs that a crew requires, and of those it can do without."""
    required: list[str] = crew.inputs.get("required", [])
    known: Mapping[str, Any] = crew.inputs.get("properties", {})
    return {"inputs": required, "optional": [name for name in known if name not in required]}


def status(flow: Flow) -> Answer:
    """Return what AMP tells of an execution in this state."""
    match flow.head.status:
        case Status.SUCCEEDED:
            return {
                "status": "completed",
                "result": _result(flow),
                "execution_time": _seconds(flow),
            }
        case Status.FAILED | Status.CANCELLED:
            reason = flow.error or flow.head.status.value
            return {"status": "error", "error": reason, "execution_time": _seconds(flow)}
        case Status.WAITING:
            return {"status": PENDING, **_asked(flow), **_progress(flow)}
        case _:
            return {"status": "running", **_progress(flow)}


def _definition(flow: Flow) -> Definition:
    return Definition.model_validate(flow.definition)


def _result(flow: Flow) -> Answer:
    done = strategies.task_results(_definition(flow), flow.results).values()
    return {**_output(flow.output, None), "tasks": [_task(flow, result) for result in done]}


def _task(flow: Flow, result: strategies.TaskResult) -> Answer:
    steps = [step for step in flow.steps if _task_of(step) == result.task]
    return {
        "task_id": result.task,
        **_output(result.output, result.raw),
        "agent": result.agent,
        "execution_time": _length(steps, max((s.finished_ms or 0 for s in steps), default=0)),
    }


def _output(output: Any, raw: str | None) -> Answer:
    """Return an output as text, and as JSON where it is more than text."""
    shown: Answer = {"output": raw or as_text(output)}
    value = structured(output)
    return shown if value is None else {**shown, "output_json": value}


def _asked(flow: Flow) -> Answer:
    asked = flow.waiting or {}
    return {
        "execution_id": flow.id,
        "task_id": asked.get("task"),
        "agent": asked.get("agent"),
        **_output(asked.get("output"), None),
    }


def _progress(flow: Flow) -> Answer:
    definition = _definition(flow)
    done = strategies.task_results(definition, flow.results)
    under_way = [_task_of(step) for step in flow.steps if step.state == "running"]
    left = [name for name in definition.tasks if name not in done]
    return {
        "current_task": next(iter([*under_way, *left]), None),
        "progress": {"completed_tasks": len(done), "total_tasks": len(definition.tasks)},
    }


def _task_of(step: Step) -> str:
    return step.id.partition(".")[0]


def _seconds(flow: Flow) -> float:
    """Return how long a flow took from its first step's start, by the store's clock."""
    return _length(flow.steps, flow.updated_ms)


def _length(steps: Iterable[Step], end_ms: int) -> float:
    began = [step.started_ms for step in steps if step.started_ms is not None]
    return round(max(0, end_ms - min(began)) / 1000, 3) if began else 0.0


class AmpErrors:
    """ASGI: gives problem documents the two members of AMP's errors, beside their own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None

        async def translated(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
                return
            if start is not None:  # problems are sent in one piece
                message["body"] = _with_members(message["body"])
                start["headers"] = _sized(start, len(message["body"]))
                await send(start)
                start = None
            await send(message)

        await self.app(scope, receive, translated)


def _is_problem(start: Message) -> bool:
    return (b"content-type", b"application/problem+json") in start["headers"]


def _with_members(body: bytes) -> bytes:
    problem = json.loads(body)
    said = problem.get("detail", problem["title"])
    members = {"error": problem["title"], "message": said}
    return _problem.encoded(problem | members)


def _sized(start: Message, size: int) -> list[tuple[bytes, bytes]]:
    kept = [line for line in start["headers"] if line[0] != b"content-length"]
    return [*kept, (b"content-length", str(size).encode())]

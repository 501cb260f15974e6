"""AMP: a flow in the words of CrewAI AMP's HTTP API, and its shape of an error.

AMP's document has a `status` of running, completed or error and an object as `result`; its service,
going by the clients that are written for it, has a `state` of PENDING, STARTED, SUCCESS or FAILED
and a text as `result`. `pending_human_input` is what its guides call a flow that waits for a person.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.crews import strategies
from core.crews.definition import Definition, StoredDefinitionError, as_text
from core.crews.step_ids import task_of
from core.flows import Flow, Status, Step
from functions._amp import words
from functions._amp.words import PENDING, kickoff_id, structured
from functions._http import problems

Answer = dict[str, Any]


def inputs(crew: Definition) -> Answer:
    """Return the names of the inputs that a crew requires, and of those it can do without."""
    required: list[str] = crew.inputs.get("required", [])
    known: Mapping[str, Any] = crew.inputs.get("properties", {})
    return {"inputs": required, "optional": [name for name in known if name not in required]}


def status(flow: Flow, *, documented: bool = False) -> Answer:
    """Return what AMP tells of an execution: `state` and a text `result`, as its clients read it.

    `documented`: with the object `result` of AMP's API document instead.
    """
    status = flow.head.status
    if status is Status.WAITING and flow.question is None:
        status = Status.RUNNING  # it waits for money; AMP knows persons only
    answer = {"status": _STATUS[status], "state": _STATE[status]}
    result = _documented_result(flow) if documented else _result(flow)
    return {**answer, **result, **_more(flow)}


_STATUS: Mapping[Status, str] = {
    Status.QUEUED: "running",
    Status.RUNNING: "running",
    Status.WAITING: PENDING,
    Status.SUCCEEDED: "completed",
    Status.FAILED: "error",
    Status.CANCELLED: "error",
}
_STATE: Mapping[Status, str] = {
    Status.QUEUED: "PENDING",
    Status.RUNNING: "STARTED",
    Status.WAITING: "STARTED",
    Status.SUCCEEDED: "SUCCESS",
    Status.FAILED: "FAILED",
    Status.CANCELLED: "FAILED",
}


def _result(flow: Flow) -> Answer:
    """Return the result as text and as JSON, null before the end; the tasks beside it."""
    last_step = _last_step(flow)
    if flow.head.status is not Status.SUCCEEDED:
        return {"result": None, "result_json": None, "last_step": last_step}
    return {
        "result": as_text(flow.output),
        "result_json": structured(flow.output),
        "last_step": last_step,
        "tasks": _tasks(flow),
    }


def _documented_result(flow: Flow) -> Answer:
    if flow.head.status is not Status.SUCCEEDED:
        return {}
    return {"result": {**_output(flow.output, None), "tasks": _tasks(flow)}}


def _more(flow: Flow) -> Answer:
    """Return what else there is to tell in this state."""
    match flow.head.status:
        case Status.SUCCEEDED:
            return {"execution_time": _seconds(flow)}
        case Status.FAILED | Status.CANCELLED:
            reason = flow.error or flow.head.status.value
            return {"error": reason, "execution_time": _seconds(flow)}
        case Status.WAITING if flow.question is not None:
            return {**_asked(flow), **_progress(flow)}
        case _:
            return _progress(flow)


def _last_step(flow: Flow) -> Answer | None:
    """Return the step that was finished last, with the fields of a step's webhook; or nothing."""
    finished = [step for step in flow.steps if step.id in flow.results]
    if not finished:
        return None
    last = max(reversed(finished), key=lambda step: step.finished_ms or 0)
    result = flow.results[last.id]
    told = result.get("raw") or as_text(result["output"])
    return words.step(last.id, task_of(last.id), last.agent, told)


def _graph(flow: Flow) -> strategies.TaskGraph | None:
    """Return the flow's tasks; None where its crew is of another version, which this cannot run."""
    try:
        return strategies.TaskGraph.of(flow)
    except StoredDefinitionError:
        return None


def _tasks(flow: Flow) -> list[Answer]:
    graph = _graph(flow)
    done = {} if graph is None else graph.task_results(flow.results)
    return [_task(flow, result) for result in done.values()]


def _task(flow: Flow, result: strategies.TaskResult) -> Answer:
    steps = [step for step in flow.steps if task_of(step.id) == result.task]
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
    asked = flow.question or {}
    return {
        "execution_id": kickoff_id(flow.id),
        "task_id": asked.get("task"),
        "review": asked.get("review"),
        "agent": asked.get("agent"),
        **_output(asked.get("output"), None),
    }


def _progress(flow: Flow) -> Answer:
    graph = _graph(flow)
    if graph is None:
        return {}
    done = graph.task_results(flow.results)
    under_way = [task_of(step.id) for step in flow.steps if step.state == "running"]
    left = [name for name in graph.definition.tasks if name not in done]
    put_off = [_put_off(step) for step in flow.steps if step.deferred is not None]
    return {
        **({"put_off": put_off} if put_off else {}),
        "current_task": next(iter([*under_way, *left]), None),
        "progress": {"completed_tasks": len(done), "total_tasks": len(graph.definition.tasks)},
    }


def _put_off(step: Step) -> Answer:
    """Return a step that goes on later, why, and when (milliseconds since 1970)."""
    return {"task_id": task_of(step.id), "step": step.id, **(step.deferred or {})}


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
    return problems.encoded(problem | members)


def _sized(start: Message, size: int) -> list[tuple[bytes, bytes]]:
    kept = [line for line in start["headers"] if line[0] != b"content-length"]
    return [*kept, (b"content-length", str(size).encode())]

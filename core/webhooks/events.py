"""Webhook events: what of a flow's log is sent by webhook, in the words of CrewAI AMP.

A task is finished when the strategy says so of the results that were there after an event; so the
results are put back in the order of the log. Those that none of the given events brought were
there before. Bodies have the fields of AMP's (docs/amp.md), the `meta` of the kickoff among them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.crews import strategies
from core.crews.definition import Definition
from core.crews.strategies.types import as_text, render
from core.flows import Entry, Flow, Status
from core.flows.events import Event
from core.webhooks.outbox import META_KEY, DeliveryCursor, WebhookKind

EVENT_PREFIXES = (
    '{"type":"STEP_FINISHED"',
    '{"type":"CUSTOM","name":"resumed"',
    '{"type":"CUSTOM","name":"waiting"',
    '{"type":"RUN_FINISHED"',
    '{"type":"RUN_ERROR"',
)
PENDING = "pending_human_input"
SUMMARY_WORDS = 10  # of a description, as CrewAI makes a task's summary
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One thing to send: where to, and the body as JSON."""

    cursor: DeliveryCursor
    kind: WebhookKind
    url: str
    body: dict[str, Any]


def webhook_events(flow: Flow, entries: Sequence[Entry]) -> Iterator[WebhookEvent]:
    """Yield what these events of the flow's log mean to its webhooks, in order.

    `flow` is the state after the last of them.
    """
    relevant = [
        (e.number, json.loads(e.event)) for e in entries if e.event.startswith(EVENT_PREFIXES)
    ]
    replay = _Replay(flow, {name for _, event in relevant if (name := _result(event))})
    common = {"kickoff_id": flow.id} | _meta(flow)
    for number, event in relevant:
        for kind, body in replay.apply(event):
            if url := flow.webhooks.get(kind):
                yield WebhookEvent(DeliveryCursor(number, kind.position), kind, url, body | common)


def _meta(flow: Flow) -> Body:
    return {META_KEY: flow.webhooks[META_KEY]} if META_KEY in flow.webhooks else {}


def _result(event: Event) -> str | None:
    """Return the name of the result that this event brings."""
    if event["type"] == "STEP_FINISHED":
        return event["stepName"]
    return event["value"].get("review") if event.get("name") == "resumed" else None


class _Replay:
    """Replays results in log order. `to_come`: those that appear only in the entries to be replayed."""

    def __init__(self, flow: Flow, to_come: set[str]) -> None:
        self._flow = flow
        self._definition = Definition.model_validate(flow.definition)
        self._results = {n: r for n, r in flow.results.items() if n not in to_come}
        self._finished = set(self._tasks())

    def apply(self, event: Event) -> Iterator[tuple[WebhookKind, Body]]:
        """Take the next event of the log; yield kind and body of what is to be sent of it."""
        if (name := _result(event)) in self._flow.results:
            if event["type"] == "STEP_FINISHED":
                yield WebhookKind.STEP, self._step(name)
            self._results[name] = self._flow.results[name]
            yield from self._newly_finished()
        elif event.get("name") == "waiting":
            yield WebhookKind.CREW, _waiting(event["value"]) | {"execution_id": self._flow.id}
        elif event["type"].startswith("RUN_"):
            yield WebhookKind.CREW, _ended(self._flow)

    def _tasks(self) -> Mapping[str, strategies.TaskResult]:
        return strategies.task_results(self._definition, self._results)

    def _newly_finished(self) -> Iterator[tuple[WebhookKind, Body]]:
        tasks = self._tasks()
        for name in tasks:
            if name not in self._finished:
                yield WebhookKind.TASK, self._task(tasks[name])
        self._finished |= set(tasks)

    def _step(self, step: str) -> Body:
        flow = self._flow
        asked = strategies.prompt(self._definition, flow.inputs, self._results, step)
        result = flow.results[step]
        return {
            "prompt": asked.description,
            "thought": "",  # an agent's thoughts are messages of the event stream
            "tool": None,
            "tool_input": None,
            "result": result.get("raw") or as_text(result["output"]),
            "step": step,
            "task_id": asked.task,
            "agent": self._definition.agents[asked.agent].role,
        }

    def _task(self, result: strategies.TaskResult) -> Body:
        task = self._definition.tasks[result.task]
        description = render(self._definition, self._flow.inputs, task.description)
        return {
            "name": result.task,
            "task_id": result.task,
            "description": description,
            "expected_output": task.expected_output,
            "summary": " ".join(description.split(" ")[:SUMMARY_WORDS]) + "...",
            "agent": result.agent,
            "output": result.raw or as_text(result.output),
            "output_json": structured(result.output),
        }


def _waiting(asked: Mapping[str, Any]) -> Body:
    """Return what a person needs to answer: the task, and what it came to."""
    return {
        "status": PENDING,
        "task_id": asked["task"],
        "agent": asked["agent"],
        "output": as_text(asked["output"]),
        "output_json": structured(asked["output"]),
    }


def _ended(flow: Flow) -> Body:
    tokens = {
        "prompt_tokens": flow.usage.input_tokens,
        "completion_tokens": flow.usage.output_tokens,
    }
    body: Body = {
        "status": "completed",
        "result": as_text(flow.output),
        "result_json": structured(flow.output),
        "token_usage": {"total_tokens": sum(tokens.values()), **tokens},
    }
    if flow.head.status is Status.SUCCEEDED:
        return body
    reason = flow.error or flow.head.status.value
    return body | {"status": "error", "result": None, "error": reason}


def structured(output: Any) -> Any:
    """Return an output that is more than text, None for one that is text."""
    return None if isinstance(output, str) else output

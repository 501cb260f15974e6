"""Occasions: what of a flow's log is told by webhook, in the words of CrewAI AMP.

A task is finished when the strategy says so of the results that were there after an event; so the
results are put back in the order of the log. Those that none of the given events brought were
there before. Bodies have the fields of AMP's (docs/amp.md), the `meta` of the kickoff among them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.crews import strategies
from core.crews.definition import Definition
from core.crews.strategies.types import as_text, render
from core.events import Event
from core.flows import Entry, Flow, Status
from core.webhooks import META, Kind, Occasion, Place

BEGINNINGS = (
    '{"type":"STEP_FINISHED"',
    '{"type":"CUSTOM","name":"resumed"',
    '{"type":"CUSTOM","name":"waiting"',
    '{"type":"RUN_FINISHED"',
    '{"type":"RUN_ERROR"',
)
PENDING = "pending_human_input"
SUMMARY_WORDS = 10  # of a description, as CrewAI makes a task's summary
Body = dict[str, Any]


def occasions(flow: Flow, entries: Sequence[Entry]) -> Iterator[Occasion]:
    """Yield what these events of the flow's log mean to its webhooks, in order.

    `flow` is the state after the last of them.
    """
    told = [(e.number, json.loads(e.event)) for e in entries if e.event.startswith(BEGINNINGS)]
    story = _Story(flow, {name for _, event in told if (name := _result(event))})
    common = {"kickoff_id": flow.id} | _meta(flow)
    for number, event in told:
        for kind, body in story.told(event):
            if url := flow.webhooks.get(kind):
                yield Occasion(Place(number, kind.part), kind, url, body | common)


def _meta(flow: Flow) -> Body:
    return {META: flow.webhooks[META]} if META in flow.webhooks else {}


def _result(event: Event) -> str | None:
    """Return the name of the result that this event tells of."""
    if event["type"] == "STEP_FINISHED":
        return event["stepName"]
    return event["value"].get("review") if event.get("name") == "resumed" else None


class _Story:
    """The results of a flow as they come; `to_come` are the names of those that are not yet there."""

    def __init__(self, flow: Flow, to_come: set[str]) -> None:
        self._flow = flow
        self._definition = Definition.model_validate(flow.definition)
        self._results = {n: r for n, r in flow.results.items() if n not in to_come}
        self._finished = set(self._tasks())

    def told(self, event: Event) -> Iterator[tuple[Kind, Body]]:
        """Take the next event; yield what is to be told of it."""
        if (name := _result(event)) in self._flow.results:
            if event["type"] == "STEP_FINISHED":
                yield Kind.STEP, self._step(name)
            self._results[name] = self._flow.results[name]
            yield from self._newly_finished()
        elif event.get("name") == "waiting":
            yield Kind.CREW, _waiting(event["value"]) | {"execution_id": self._flow.id}
        elif event["type"].startswith("RUN_"):
            yield Kind.CREW, _ended(self._flow)

    def _tasks(self) -> Mapping[str, strategies.TaskResult]:
        return strategies.task_results(self._definition, self._results)

    def _newly_finished(self) -> Iterator[tuple[Kind, Body]]:
        tasks = self._tasks()
        for name in tasks:
            if name not in self._finished:
                yield Kind.TASK, self._task(tasks[name])
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

"""Webhook events: what of a flow's log is sent by webhook, in no service's words.

A task is finished when the strategy says so of the results that were there after an event; so the
results are put back in the order of the log, from those that were there before the first of the given
events: any part of a log can be read by itself. Addresses that a person's answer named are in use from that answer on.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.crews import strategies
from core.crews.control import WEBHOOKS_KEY
from core.crews.definition import StoredDefinitionError, as_text
from core.flows import Entry, Flow
from core.flows.events import Event
from core.webhooks.outbox import DeliveryCursor, WebhookKind
from core.webhooks.receivers import Receivers

log = logging.getLogger(__name__)

TYPES = ("STEP_FINISHED", "CUSTOM", "RUN_FINISHED", "RUN_ERROR")
CUSTOM_NAMES = ("resumed", "waiting", "budget_alert")


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step has a result; `prompt` is what its agent was asked, `agent` its role."""

    step: str
    task: str
    agent: str
    prompt: str
    result: str


@dataclass(frozen=True, slots=True)
class TaskFinished:
    """A task has its answer, for good. The texts are those of the crew, inputs filled in."""

    result: strategies.TaskResult
    description: str
    expected_output: str


@dataclass(frozen=True, slots=True)
class WaitingForPerson:
    """A person is to judge what a task came to; `agent` is the role of whose answer it is.

    `review` names the question.
    """

    review: str
    task: str
    agent: str
    output: Any


@dataclass(frozen=True, slots=True)
class FlowEnded:
    """The flow has ended; how, its state says."""


@dataclass(frozen=True, slots=True)
class BudgetAlert:
    """A call of the flow brought a budget to one of its alerts; `value` is that of the event `budget_alert`."""

    value: Mapping[str, Any]
    time_ms: int | None


Notification = StepFinished | TaskFinished | WaitingForPerson | BudgetAlert | FlowEnded


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One thing to send, and where to. `authorization` is a header the receiver asks for."""

    cursor: DeliveryCursor
    kind: WebhookKind
    url: str
    notification: Notification
    authorization: str | None = None


Render = Callable[[Flow, Notification], dict[str, Any]]  # a notification as a body, which is JSON


def webhook_events(flow: Flow, entries: Sequence[Entry]) -> Iterator[WebhookEvent]:
    """Yield what these events of the flow's log mean to its webhooks, in order.

    `flow` is the state after the last of them, or later.
    """
    replay = _Replay(flow, entries[0].number if entries else 0)
    for number, event in _relevant(entries):
        for kind, notification in replay.apply(event):
            if url := replay.receivers.url(kind):
                cursor = DeliveryCursor(number, kind.position)
                header = replay.receivers.authorization(kind)
                yield WebhookEvent(cursor, kind, url, notification, header)


def _relevant(entries: Sequence[Entry]) -> Iterator[tuple[int, Event]]:
    """Yield number and event of what webhooks can be about."""
    for entry in entries:
        if entry.type in TYPES:
            event: Event = json.loads(entry.json)
            if event["type"] != "CUSTOM" or event["name"] in CUSTOM_NAMES:
                yield entry.number, event


def _result(event: Event) -> str | None:
    """Return the name of the result that this event brings."""
    if event["type"] == "STEP_FINISHED":
        return event["stepName"]
    return event["value"].get("review") if event.get("name") == "resumed" else None


class _Replay:
    """Replays results in log order, from those that were there before the event of number `first`.

    `receivers` are those in use at this point of the log.
    """

    def __init__(self, flow: Flow, first: int) -> None:
        self._flow = flow
        self._graph = _readable(flow)
        brought = flow.brought
        self._results = {n: r for n, r in flow.results.items() if brought.get(n, 0) < first}
        self._finished = set(self._tasks())
        self.receivers = Receivers.of(flow.webhooks, self._results)

    def apply(self, event: Event) -> Iterator[tuple[WebhookKind, Notification]]:
        """Take the next event of the log; yield what is to be sent of it."""
        if (name := _result(event)) in self._flow.results:
            if event["type"] == "STEP_FINISHED" and self._graph is not None:
                yield WebhookKind.STEP, self._step(self._graph, name)
            self._results[name] = self._flow.results[name]
            if WEBHOOKS_KEY in self._results[name]:
                self.receivers = Receivers.of(self._flow.webhooks, self._results)
            yield from self._newly_finished()
        elif event.get("name") == "waiting":
            yield self.receivers.kind_for_waiting, self._waiting(event["value"])
        elif event.get("name") == "budget_alert":
            yield WebhookKind.CREW, BudgetAlert(event["value"], event.get("timestamp"))
        elif event["type"].startswith("RUN_"):
            yield WebhookKind.CREW, FlowEnded()

    def _tasks(self) -> Mapping[str, strategies.TaskResult]:
        return {} if self._graph is None else self._graph.task_results(self._results)

    def _newly_finished(self) -> Iterator[tuple[WebhookKind, Notification]]:
        tasks = self._tasks()
        for name in tasks:
            if name not in self._finished and self._graph is not None:
                yield WebhookKind.TASK, self._task(self._graph, tasks[name])
        self._finished |= set(tasks)

    def _step(self, graph: strategies.TaskGraph, step: str) -> StepFinished:
        flow = self._flow
        prompt = graph.prompt(self._results, step)
        result = flow.results[step]
        text = result.get("raw") or as_text(result["output"])
        role = graph.definition.agents[prompt.agent].role
        return StepFinished(step, prompt.task, role, prompt.description, text)

    def _waiting(self, asked: Mapping[str, Any]) -> WaitingForPerson:
        output = asked["output"]
        if "output_ref" in asked and self._graph is not None:  # the event has not room for it
            match self._graph.next_action(self._results):
                case strategies.Wait(output=output):
                    pass
                case _:
                    log.warning("the flow does not wait where its log says so")
        return WaitingForPerson(asked["review"], asked["task"], asked["agent"], output)

    def _task(self, graph: strategies.TaskGraph, result: strategies.TaskResult) -> TaskFinished:
        task = graph.definition.tasks[result.task]
        return TaskFinished(result, task.description, task.expected_output)


def _readable(flow: Flow) -> strategies.TaskGraph | None:
    """Return the flow's tasks; None if another version stored its crew and this one cannot run it.

    Then nothing is sent of steps and tasks, but still that the flow waits or has ended.
    """
    try:
        return strategies.TaskGraph.of(flow)
    except StoredDefinitionError:
        log.warning("no webhooks of steps and tasks: the flow's crew cannot be read")
        return None

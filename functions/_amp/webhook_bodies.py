"""Webhook bodies with the fields of CrewAI AMP's (docs/amp.md)."""

from typing import Any

from core.crews.definition import as_text
from core.flows import Flow, Status
from core.webhooks.events import (
    BudgetAlert,
    Notification,
    StepFinished,
    TaskFinished,
    WaitingForPerson,
)
from core.webhooks.receivers import META_KEY
from functions._amp import words
from functions._amp.words import PENDING, kickoff_id, structured

SUMMARY_WORDS = 10  # of a description, as CrewAI makes a task's summary
Body = dict[str, Any]


def render(flow: Flow, notification: Notification) -> Body:
    """Return the body that tells of this, with the id of the kickoff and its `meta`."""
    return _told(flow, notification) | {"kickoff_id": kickoff_id(flow.id)} | _meta(flow)


def _told(flow: Flow, notification: Notification) -> Body:
    match notification:
        case StepFinished():
            return _step(notification)
        case TaskFinished():
            return _task(notification)
        case WaitingForPerson():
            return _waiting(notification) | {"execution_id": kickoff_id(flow.id)}
        case BudgetAlert():
            return _alert(notification)
        case _:
            return _ended(flow)


def _meta(flow: Flow) -> Body:
    return {META_KEY: flow.webhooks[META_KEY]} if META_KEY in flow.webhooks else {}


def _step(finished: StepFinished) -> Body:
    told = words.step(finished.step, finished.task, finished.agent, finished.result)
    return {"prompt": finished.prompt} | told


def _task(finished: TaskFinished) -> Body:
    result = finished.result
    return {
        "name": result.task,
        "task_id": result.task,
        "description": finished.description,
        "expected_output": finished.expected_output,
        "summary": " ".join(finished.description.split(" ")[:SUMMARY_WORDS]) + "...",
        "agent": result.agent,
        "output": result.raw or as_text(result.output),
        "output_json": structured(result.output),
    }


def _waiting(asked: WaitingForPerson) -> Body:
    """Return what a person needs to answer: the task, and what it came to."""
    return {
        "status": PENDING,
        "task_id": asked.task,
        "review": asked.review,
        "agent": asked.agent,
        "output": as_text(asked.output),
        "output_json": structured(asked.output),
    }


def _alert(alert: BudgetAlert) -> Body:
    """Return what the address of the budget itself is told, too; AMP has no such thing."""
    return {"type": "budget_alert", "timestamp": alert.time_ms, **alert.value}


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

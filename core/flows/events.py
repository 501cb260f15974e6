"""Events: what happened in a flow, in the words of the AG-UI protocol.

Events are JSON from the start, so whoever reads them needs no library. What belongs together, such
as the start of a tool call, its arguments and its end, is made and written together, so a killed
worker leaves it whole or not at all. Only a message that a model is still writing may stay open:
the ledger knows it, and ends it when its step is begun again.

A message however long makes no event and no write too large for the store: it is cut into pieces.

Source of the types and their fields: the AG-UI protocol, https://docs.ag-ui.com/concepts/events
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.costs.usage import Usage
from core.flows.pieces import pieces
from core.json_text import compact

if TYPE_CHECKING:  # who reads a flow prices nothing
    from core.costs.rates import Rates
    from core.costs.token_counts import TokenCounts

PIECE_CHARACTERS = 32_000  # of one event, of what may be cut
BATCH_CHARACTERS = 256_000  # of the events of one write, the last one apart
_WITHIN_A_CALL = ("TOOL_CALL_ARGS", "TOOL_CALL_END")

Event = dict[str, Any]  # an AG-UI event, JSON-ready, its "type" first


def run_started(flow: str) -> list[Event]:
    """Number 1 of every log."""
    return [{"type": "RUN_STARTED", "threadId": flow, "runId": flow}]


def run_finished(flow: str, result: Any) -> list[Event]:
    """The end of a flow that succeeded, with its output, or `{"output_ref": ...}` in its place."""
    return [{"type": "RUN_FINISHED", "threadId": flow, "runId": flow, "result": result}]


def run_error(message: str, code: str) -> list[Event]:
    """The end of a flow that failed; `code` is a word a program can act on."""
    return [{"type": "RUN_ERROR", "message": message, "code": code}]


def starting() -> list[Event]:
    """A worker loads, which takes seconds, before the first step begins."""
    return custom("starting", {})


def step_started(step: str, attempt: int, *, epoch: int = 0) -> list[Event]:
    """A step begins that had `epoch` claims before; or begins again, since the worker that had it is gone.

    One that was given back before its first attempt was counted goes on.
    """
    if attempt > 1:
        return custom("step_retried", {"step": step, "attempt": attempt})
    if epoch > 0:
        return custom("step_resumed", {"step": step, "attempt": attempt})
    return [{"type": "STEP_STARTED", "stepName": step}]


def step_finished(step: str) -> list[Event]:
    """A step's result is committed."""
    return [{"type": "STEP_FINISHED", "stepName": step}]


def text_message(message: str, text: str) -> list[Event]:
    """Return a whole message of an agent; `message` is its id."""
    return [*text_start(message), *text_content(message, text), *text_end(message)]


def text_start(message: str) -> list[Event]:
    """Begin a message that a model is still writing."""
    return [{"type": "TEXT_MESSAGE_START", "messageId": message, "role": "assistant"}]


def text_content(message: str, delta: str) -> list[Event]:
    """Return a piece of a message; none for an empty one, which AG-UI forbids."""
    return [{"type": "TEXT_MESSAGE_CONTENT", "messageId": message, "delta": delta}] if delta else []


def text_end(message: str) -> list[Event]:
    """End a message."""
    return [{"type": "TEXT_MESSAGE_END", "messageId": message}]


def is_text(event: Event) -> bool:
    """Tell whether this is the beginning or a piece of a message, of which more will come."""
    return event["type"] in ("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT")


def open_message(events: list[Event], before: str | None) -> str | None:
    """Return the id of the message that is being written after these events."""
    for event in events:
        if event["type"] in ("TEXT_MESSAGE_START", "TEXT_MESSAGE_END"):
            before = event["messageId"] if event["type"] == "TEXT_MESSAGE_START" else None
    return before


def merged(events: list[Event]) -> list[Event]:
    """Return the events with neighbouring pieces of one message put together.

    No piece, and none of a tool's arguments, is longer than PIECE_CHARACTERS: longer ones are cut.
    """
    kept: list[Event] = []
    for event in (part for each in events for part in _cut(each)):
        last = kept[-1] if kept else {}
        of_texts = last.get("type") == event["type"] == "TEXT_MESSAGE_CONTENT"
        if of_texts and last["messageId"] == event["messageId"] and _fit(last, event):
            kept[-1] = last | {"delta": last["delta"] + event["delta"]}
        else:
            kept.append(event)
    return kept


def _fit(last: Event, event: Event) -> bool:
    return len(last["delta"]) + len(event["delta"]) <= PIECE_CHARACTERS


def _cut(event: Event) -> list[Event]:
    delta = event.get("delta")
    if not isinstance(delta, str) or len(delta) <= PIECE_CHARACTERS:
        return [event]
    return [event | {"delta": piece} for piece in pieces(delta, PIECE_CHARACTERS)]


def batches(events: list[Event]) -> list[list[Event]]:
    """Return the events as they may be written one after the other, in order; one batch at least.

    A batch ends when it has BATCH_CHARACTERS, but not within a tool call.
    """
    made: list[list[Event]] = [[]]
    characters = 0
    for event in events:
        if characters >= BATCH_CHARACTERS and event["type"] not in _WITHIN_A_CALL:
            made.append([])
            characters = 0
        made[-1].append(event)
        delta = event.get("delta")
        characters += len(delta) if isinstance(delta, str) else len(compact(event))
    return made


def shortened(text: str, most: int) -> str:
    """Return a text, or its first `most` characters and in words how many more it has."""
    more = len(text) - most
    return text if more <= 0 else f"{text[:most]}… ({more:,} characters more)"


def tool_call(call: str, tool: str, arguments: str) -> list[Event]:
    """Return the start of a tool call, its arguments as JSON text."""
    return [
        {"type": "TOOL_CALL_START", "toolCallId": call, "toolCallName": tool},
        {"type": "TOOL_CALL_ARGS", "toolCallId": call, "delta": arguments},
        {"type": "TOOL_CALL_END", "toolCallId": call},
    ]


def tool_result(call: str, content: str) -> list[Event]:
    """Return what a tool answered."""
    return [
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": f"{call}-result",
            "toolCallId": call,
            "content": content,
            "role": "tool",
        }
    ]


def model_call(
    step: str,
    model: str,
    usage: Usage,
    tokens: "TokenCounts | None" = None,
    rates: "Rates | None" = None,
) -> list[Event]:
    """Return what one call of a model consumed; with its counts and rates, so that it can be explained."""
    called = {"step": step, "model": model, **usage.public()}
    if tokens is not None:
        called |= {"tokens": asdict(tokens), "rates": rates and rates.public()}
    return custom("model_call", called)


def lessons(step: str, shown: list[dict[str, Any]]) -> list[Event]:
    """Return what a step's agent was told of earlier flows: id, text and confidence of each lesson."""
    return custom("lessons", {"step": step, "lessons": shown})


def state_snapshot(state: dict[str, Any]) -> Event:
    """Return the whole state: number 2 of every log, and for a cursor that cannot be served."""
    return {"type": "STATE_SNAPSHOT", "snapshot": state}


def custom(name: str, value: Any) -> list[Event]:
    """Return an event of our own that AG-UI clients pass on to the application."""
    return [{"type": "CUSTOM", "name": name, "value": value}]


def stamped(events: list[Event], now_ms: int) -> list[Event]:
    """Return the events with the time they happened at."""
    return [{**event, "timestamp": now_ms} for event in events]

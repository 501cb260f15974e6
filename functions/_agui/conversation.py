"""The conversation that AG-UI events build, and which of its parts are begun and not yet ended.

Messages are built as `@ag-ui/client` builds them (`defaultApplyEvents`), so what a client made of
the events and what it is sent in a MESSAGES_SNAPSHOT are the same, ids included.
"""

from typing import Any

from core.flows import events
from core.flows.events import Event

Message = dict[str, Any]  # of AG-UI, JSON-ready


class OpenParts:
    """The steps and text messages that a stream has begun and not ended, in order."""

    def __init__(self) -> None:
        self.steps: dict[str, None] = {}
        self.messages: dict[str, None] = {}

    def apply(self, event: Event) -> bool:
        """Take note of an event; False if it goes on with something that was never begun."""
        match event["type"]:
            case "STEP_STARTED":
                self.steps[event["stepName"]] = None
            case "STEP_FINISHED":
                return _remove(self.steps, event["stepName"])
            case "TEXT_MESSAGE_START":
                self.messages[event["messageId"]] = None
            case "TEXT_MESSAGE_CONTENT":
                return event["messageId"] in self.messages
            case "TEXT_MESSAGE_END":
                return _remove(self.messages, event["messageId"])
            case _:
                pass
        return True

    def message_ends(self) -> list[Event]:
        """Return the events that end all open messages."""
        return [end for message in self.messages for end in events.text_end(message)]

    def ends(self) -> list[Event]:
        """Return the events that end all that is open: AG-UI lets no run finish without."""
        steps = [end for step in self.steps for end in events.step_finished(step)]
        return [*self.message_ends(), *steps]


def _remove(names: dict[str, None], name: str) -> bool:
    known = name in names
    names.pop(name, None)
    return known


class Conversation:
    """What the events of a flow's log have told so far."""

    def __init__(self) -> None:
        self.open = OpenParts()
        self._texts: dict[str, list[str]] = {}  # pieces by message id, in the order of the messages
        self._calls: dict[str, Message] = {}
        self._results: dict[str, list[Message]] = {}  # by the id of the call

    def apply(self, event: Event) -> None:
        """Take the next event. One whose beginning is no longer in the log changes nothing."""
        self.open.apply(event)
        match event["type"]:
            case "TEXT_MESSAGE_START":
                self._texts.setdefault(event["messageId"], [])
            case "TEXT_MESSAGE_CONTENT":
                self._texts.get(event["messageId"], []).append(event["delta"])
            case "TOOL_CALL_START":
                self._begin_call(event)
            case "TOOL_CALL_ARGS" if call := self._calls.get(event["toolCallId"]):
                call["toolCalls"][0]["function"]["arguments"] += event["delta"]
            case "TOOL_CALL_RESULT" if results := self._results.get(event["toolCallId"]):
                results.append(_tool_message(event))
            case _:
                pass

    def _begin_call(self, event: Event) -> None:
        call = event["toolCallId"]
        function = {"name": event["toolCallName"], "arguments": ""}
        tool_call = {"id": call, "type": "function", "function": function}
        self._calls[call] = {"id": call, "role": "assistant", "toolCalls": [tool_call]}
        self._results[call] = [self._calls[call]]
        self._texts.setdefault(call, [])  # its place among the messages

    def messages(self) -> list[Message]:
        """Return the messages that are complete, each tool's answer right after its call."""
        found: list[Message] = []
        for name, pieces in self._texts.items():
            if name in self._results:
                found += self._results[name]
            elif name not in self.open.messages:
                found.append({"id": name, "role": "assistant", "content": "".join(pieces)})
        return found

    def begun(self) -> list[Event]:
        """Return events that begin again what is open: steps, and messages with their text."""
        steps = [e for step in self.open.steps for e in events.step_started(step, 1)]
        texts = [
            event
            for message in self.open.messages
            for event in [
                *events.text_start(message),
                *events.text_content(message, "".join(self._texts[message])),
            ]
        ]
        return [*steps, *texts]


def _tool_message(event: Event) -> Message:
    return {
        "id": event["messageId"],
        "role": "tool",
        "toolCallId": event["toolCallId"],
        "content": event["content"],
    }


def merge(sent: list[Message], told: list[Message], unfinished: dict[str, None]) -> list[Message]:
    """Return the messages that a client sent, each as the flow told it, and those it did not have.

    What is `unfinished` is left out: a client that has a part of it will be sent the whole.
    """
    rest = {message["id"]: message for message in told}
    kept = [rest.pop(m["id"], m) for m in sent if m["id"] not in unfinished]
    return [*kept, *rest.values()]

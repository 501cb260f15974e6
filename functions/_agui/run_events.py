"""A flow's events as those of one AG-UI run: what a client is sent, in AG-UI 1.0's words.

Most events are the same. Different are: the names of the run; the state, in which the flow stands
under the key `flow`, beside what is the application's; and the end, since a run also ends where
its flow waits for a person, and a cancelled run has not failed.

Source: https://docs.ag-ui.com/spec/1.0/events/lifecycle
"""

from typing import Any

from core.flows import Flow, Status, events
from core.flows.events import Event
from core.flows.state import shown_result
from functions._agui.conversation import Conversation, OpenParts, merge
from functions._agui.interrupts import interrupt
from functions._agui.run_input import RunInput

PROTOCOL_VERSION = "1.0"
STREAM_OVER_CODE = "stream_over"
STREAM_OVER = "the stream is over, the flow goes on: send the same run again to follow it further"


class RunEvents:
    """Makes the events of one stream. What it makes is to be sent in this order, all of it."""

    def __init__(self, run: RunInput) -> None:
        self._run = run
        self._open = OpenParts()
        self._started = False

    def translate(self, event: Event) -> list[Event]:
        """Return what the client is sent for an event of the log: often just that.

        What goes on with something that this stream has not begun is left out.
        """
        return self._sent(self._translated(event))

    def catch_up(self, state: Flow, conversation: Conversation | None) -> list[Event]:
        """Return events after which the client knows all that was told up to this state.

        The snapshots take the place of what it had from an earlier stream, so nothing is doubled.
        Where the conversation is not known, it keeps the messages that it has.
        """
        told = [] if self._started else self._renamed(events.run_started(state.id)[0])
        snapshot = self._state_snapshot(state.public())
        if conversation is None:
            return self._sent([*told, snapshot])
        return self._sent(
            [*told, self._messages_snapshot(conversation), snapshot, *conversation.begun()]
        )

    def end(self, state: Flow) -> list[Event]:
        """Return how the run of a flow in this state ends; [] if the flow runs."""
        match state.head.status:
            case Status.SUCCEEDED:
                return self.translate(_finished(state))
            case Status.FAILED | Status.CANCELLED as status:
                return self.translate(events.run_error(state.error or status, status)[0])
            case _ if state.question is not None:
                return self.interrupt(state.id, state.question, state.deadline_ms)
            case _:
                return []

    def interrupt(self, flow: str, waiting: dict[str, Any], deadline_ms: int | None) -> list[Event]:
        """Return the end of a run whose flow waits for a person."""
        asked = interrupt(flow, waiting, deadline_ms)
        return self._sent(self._finished({"outcome": {"type": "interrupt", "interrupts": [asked]}}))

    def stream_over(self) -> list[Event]:
        """Return the end of a stream that the flow outlasts."""
        return self.translate(events.run_error(STREAM_OVER, STREAM_OVER_CODE)[0])

    def _translated(self, event: Event) -> list[Event]:
        match event["type"]:
            case "RUN_STARTED":
                return self._renamed(event)
            case "RUN_FINISHED" | "RUN_ERROR":
                return self._ended(event)
            case "STATE_SNAPSHOT":
                return [event | self._state_snapshot(event["snapshot"])]
            case "STATE_DELTA":
                return [event | {"delta": [_under_flow(change) for change in event["delta"]]}]
            case _:
                return [event]

    def _ended(self, event: Event) -> list[Event]:
        if event["type"] == "RUN_FINISHED":
            return [*self._open.ends(), event | self._run.ids]
        if event.get("code") == Status.CANCELLED.value or self._is_dismissed(event):
            return self._finished({"outcome": {"type": "cancelled"}})
        return [*self._open.message_ends(), event]

    def _is_dismissed(self, error: Event) -> bool:
        """Tell whether the flow failed anyway: clients keep an interrupt until RUN_FINISHED."""
        return self._run.dismisses and error.get("code") != STREAM_OVER_CODE

    def _renamed(self, started: Event) -> list[Event]:
        self._started = True
        return [started | self._run.ids | {"protocolVersion": PROTOCOL_VERSION}]

    def _messages_snapshot(self, conversation: Conversation) -> Event:
        unfinished = conversation.open.messages
        messages = merge(self._run.sent_messages(), conversation.messages(), unfinished)
        return {"type": "MESSAGES_SNAPSHOT", "messages": messages}

    def _state_snapshot(self, flow: dict[str, Any]) -> Event:
        return events.state_snapshot(self._run.shared_state(flow))

    def _finished(self, how: dict[str, Any]) -> list[Event]:
        return [*self._open.ends(), {"type": "RUN_FINISHED", **self._run.ids, **how}]

    def _sent(self, made: list[Event]) -> list[Event]:
        return [event for event in made if self._open.apply(event)]


def _finished(state: Flow) -> Event:
    return events.run_finished(state.id, shown_result(state.id, state.output))[0]


def _under_flow(change: dict[str, Any]) -> dict[str, Any]:
    """Return an operation of RFC 6902 on the flow as one on the shared state."""
    moved = {key: f"/flow{change[key]}" for key in ("path", "from") if key in change}
    return change | moved

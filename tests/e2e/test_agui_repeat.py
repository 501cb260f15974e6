"""An AG-UI run that is sent again: clients replace what they had, and go on."""

import asyncio
import json
from pathlib import Path
from typing import Any

from core.crews.ledger import StepWrite
from core.flows import Status, events
from functions._agui.conversation import Conversation
from functions._agui.run_events import RunEvents
from functions._agui.run_input import RunInput
from functions.crew_agui import Source, _caught_up
from tests.e2e.agui_parts import SAID, asked, check, claimed, kinds, launched, move, ran, read, work
from tests.e2e.apps import LEASE_MS, App, opened


def snapshot_of(found: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    (messages,) = [e["messages"] for _, e in found if e["type"] == "MESSAGES_SNAPSHOT"]
    return messages


async def test_it_begins_with_snapshots_and_ends_as_the_first_did(app: App):
    first, _ = await asyncio.gather(ran(app, asked()), work(app.flows))
    again = read(await ran(app, asked()))
    check(again)
    assert kinds(again) == [
        "RUN_STARTED",
        "MESSAGES_SNAPSHOT",
        "STATE_SNAPSHOT",
        "RUN_FINISHED",
    ]
    last, same = read(first)[-1], again[-1]
    assert (same[0], same[1]["result"]) == (last[0], last[1]["result"])
    assert len(await app.flows.recent("acme", 10)) == 1


async def test_the_messages_are_the_clients_and_those_that_the_flow_told(app: App):
    await asyncio.gather(ran(app, asked()), work(app.flows))
    partly = {"id": "a1", "role": "assistant", "content": "rai"}
    sent = [{**SAID, "name": "Ann"}, partly]
    messages = snapshot_of(read(await ran(app, asked(messages=sent))))
    call = {"id": "c1", "type": "function"}
    call["function"] = {"name": "syllables", "arguments": '{"text":"rain"}'}  # pyright: ignore[reportArgumentType] -- JSON
    assert messages == [
        {**SAID, "name": "Ann"},
        {"id": "a1", "role": "assistant", "content": "rain falls"},
        {"id": "c1", "role": "assistant", "toolCalls": [call]},
        {"id": "c1-result", "role": "tool", "toolCallId": "c1", "content": "1"},
        {"id": "a2", "role": "assistant", "content": "rain falls"},
    ]


async def test_what_is_open_is_begun_again_whole_and_goes_on_live(tmp_path: Path):
    partly = {"id": "a1", "role": "assistant", "content": "ra"}
    with opened(tmp_path, agui_seconds=0.2) as app:
        await ran(app, asked())
        claim = await claimed(app.flows)
        said = [*events.text_start("a1"), *events.text_content("a1", "rain ")]
        await app.flows.emit(claim, 1, LEASE_MS, StepWrite(said, "a1"))
        cut = read(await ran(app, asked(messages=[SAID, partly])))

        async def go_on() -> None:
            await asyncio.sleep(0.05)
            rest = [*events.text_content("a1", "falls"), *events.text_end("a1")]
            await app.flows.emit(claim, 2, LEASE_MS, StepWrite(rest))

        found, _ = await asyncio.gather(ran(app, asked(messages=[SAID, partly])), go_on())
    check(cut)
    assert kinds(cut) == [
        "RUN_STARTED",
        "MESSAGES_SNAPSHOT",
        "STATE_SNAPSHOT",
        "STEP_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_ERROR",
    ]
    assert snapshot_of(cut) == [SAID]
    texts = [event["delta"] for _, event in read(found) if "delta" in event]
    assert texts == ["rain ", "falls"]


INSIDE = ("TOOL_CALL_START", "TOOL_CALL_ARGS")  # a call is written with its arguments and its end


async def test_wherever_a_stream_is_cut_the_next_one_is_valid_and_says_the_rest(app: App):
    await asyncio.gather(ran(app, asked()), work(app.flows))
    state = await app.flows.snapshot("acme", await launched(app.flows))
    log = [json.loads(e.json) for e in await app.flows.entries("acme", state.id, 0, 1000)]
    for at in range(2, len(log)):
        if log[at - 1]["type"] in INSIDE:
            continue
        translator = RunEvents(RunInput.model_validate(asked()))
        told = translator.catch_up(state, conversation_of(log[:at]))
        for event in log[at:]:
            if event["type"] != "STATE_DELTA":  # the state is that of the end
                told += translator.translate(event)
        check([("", event) for event in told])
        assert seen(told) == conversation_of(log).messages()


def conversation_of(log: list[events.Event]) -> Conversation:
    conversation = Conversation()
    for event in log:
        conversation.apply(event)
    return conversation


def seen(told: list[events.Event]) -> list[dict[str, Any]]:
    """What a client has in the end of what the flow told it."""
    conversation, messages = Conversation(), list[dict[str, Any]]()
    for event in told:
        if event["type"] == "MESSAGES_SNAPSHOT":
            messages = [message for message in event["messages"] if message != SAID]
        conversation.apply(event)
    results = {m["toolCallId"] for m in messages if m["role"] == "tool"}
    late = [e for e in told if e["type"] == "TOOL_CALL_RESULT" and e["toolCallId"] not in results]
    known = {message["id"] for message in messages}
    for event in late:
        if event["toolCallId"] in known:
            messages.append(
                {"id": event["messageId"], "role": "tool", "toolCallId": event["toolCallId"],
                 "content": event["content"]}
            )  # fmt: skip
    return [*messages, *conversation.messages()]


async def test_a_log_whose_beginning_is_gone_leaves_the_client_its_messages(app: App):
    await asyncio.gather(ran(app, asked()), work(app.flows))
    flow = await app.flows.snapshot("acme", await launched(app.flows))
    translator = RunEvents(RunInput.model_validate(asked()))
    told = _caught_up(Source("acme", flow.id), translator, flow, None)
    assert [e["type"] for e in told] == ["RUN_STARTED", "STATE_SNAPSHOT", "RUN_FINISHED"]


def test_what_goes_on_with_nothing_that_was_begun_is_left_out():
    translator = RunEvents(RunInput.model_validate(asked()))
    for event in (
        *events.text_content("a", "b"), *events.text_end("a"), *events.step_finished("one"),
    ):  # fmt: skip
        assert translator.translate(event) == []


async def test_a_flow_that_failed_is_told_as_such_each_time(app: App):
    async def fail() -> None:
        await launched(app.flows)
        await move(app.flows, Status.FAILED, events.run_error("no luck", "step"), error="no luck")

    await asyncio.gather(ran(app, asked()), fail())
    again = read(await ran(app, asked()))
    assert (again[-1][1]["type"], again[-1][1]["message"]) == ("RUN_ERROR", "no luck")

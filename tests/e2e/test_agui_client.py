"""Conversations through AG-UI's own client for JavaScript, over a real server, with real CrewAI."""

import asyncio
from typing import Any

import jsonschema

from core import bootstrap
from core.crews.control import FlowControl
from core.flows import Status
from tests.e2e.agui_server import BRIEF, haiku, serve

__all__ = ["serve"]  # the fixture


def told(seen: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message.get("content", "")) for message in seen["messages"]]


def answer_to(topic: str) -> tuple[str, str]:
    return ("assistant", str(haiku(f"Write on {topic} in autumn")))


async def test_three_turns_of_a_conversation_arrive_whole_and_in_order(serve: Any):
    server = await serve()
    turns = await server.talk("haiku", *({"say": topic} for topic in ("rain", "snow", "fog")))
    expected: list[tuple[str, str]] = []
    for topic, seen in zip(("rain", "snow", "fog"), turns, strict=True):
        expected += [("user", topic), answer_to(topic)]
        assert told(seen) == expected
        assert [m["content"] for m in seen["newMessages"]] == [answer_to(topic)[1]]
        assert (seen["outcome"], seen["result"]) == ("success", answer_to(topic)[1])
        assert seen["warnings"] == []
        assert seen["state"]["flow"]["status"] == "succeeded"


async def test_a_run_lasts_longer_than_other_streams_may(serve: Any):
    server = await serve(pause_seconds=0.2, stream_seconds=0.3)
    (seen,) = await server.talk("haiku", {"say": "rain"})
    assert (seen["outcome"], seen["warnings"]) == ("success", [])
    assert told(seen) == [("user", "rain"), answer_to("rain")]


async def test_a_run_sent_again_until_it_ends_shows_every_message_once(serve: Any):
    server = await serve(pause_seconds=0.25, agui_seconds=0.5)
    again = [{"runId": "r1"} for _ in range(8)]
    turns = await server.talk("haiku", {"say": "rain", "runId": "r1"}, *again)
    assert [seen.get("code") for seen in turns[:2]] == ["stream_over", "stream_over"]
    for seen in turns[1:]:
        assert seen["events"][:3] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "STATE_SNAPSHOT"]
        assert seen["warnings"] == []
        said = dict(told(seen)).get("assistant", "")
        assert answer_to("rain")[1].startswith(said)
    assert turns[-1]["outcome"] == "success"
    assert told(turns[-1]) == [("user", "rain"), answer_to("rain")]
    assert len(await server.app.flows.recent("acme", 10)) == 1


async def test_an_interrupt_is_sent_back_with_feedback_and_then_approved(serve: Any):
    server = await serve()
    back = {"approve": False, "feedback": "Say when."}
    first, second, third, fourth = await server.talk(
        "research_brief_approved",
        {},
        {"answer": {"status": "resolved", "payload": back}},
        {"answer": {"status": "resolved", "payload": {"approve": True}}},
        {"say": "thanks"},
        state={"inputs": BRIEF, "theme": "dark"},
    )
    for seen in (first, second):
        assert seen["outcome"] == "interrupt"
        (interrupt,) = seen["pendingInterrupts"]
        assert interrupt["message"]
        jsonschema.validate(back, interrupt["responseSchema"])
    assert first["pendingInterrupts"][0]["id"] != second["pendingInterrupts"][0]["id"]
    assert (third["outcome"], third["pendingInterrupts"]) == ("success", [])
    assert third["state"]["flow"]["status"] == "succeeded"
    kept = [told(seen) for seen in (first, second, third)]
    assert kept[1][: len(kept[0])] == kept[0]
    assert kept[2][: len(kept[1])] == kept[1]
    assert len(kept[1]) > len(kept[0])
    assert len({m["id"] for m in third["messages"]}) == len(third["messages"])
    assert fourth["outcome"] == "interrupt"  # the same inputs again, from the state
    flows = await server.app.flows.recent("acme", 10)
    assert [flow.status for flow in flows] == [Status.WAITING, Status.SUCCEEDED]
    assert all(seen["warnings"] == [] for seen in (first, second, third, fourth))


async def test_a_dismissed_interrupt_cancels_the_flow_and_frees_the_thread(serve: Any):
    server = await serve()
    first, second, third = await server.talk(
        "research_brief_approved",
        {},
        {"answer": {"status": "cancelled"}},
        {"say": "once more"},
        state={"inputs": BRIEF},
    )
    assert first["outcome"] == "interrupt"
    assert (second["outcome"], second["pendingInterrupts"]) == ("cancelled", [])
    assert (third["outcome"], third["warnings"]) == ("interrupt", [])


async def test_an_answer_against_anothers_is_an_error_that_can_be_left_behind(serve: Any):
    server = await serve()
    yes, no = ({"approve": True}, {"approve": False, "feedback": "Say when."})

    async def another_answers() -> None:
        flow = await server.flow_that_is(Status.WAITING)
        ledger, wake_queue = bootstrap.ledger(), bootstrap.wake_queue()
        waiting = (await ledger.state("acme", flow)).waiting
        assert waiting is not None
        said: dict[str, Any] = {**no, "review": waiting["review"]}
        await FlowControl(ledger, wake_queue).resume(tenant="acme", flow=flow, **said)

    turns, _ = await asyncio.gather(
        server.talk(
            "research_brief_approved",
            {},
            {"answer": {"status": "resolved", "payload": yes}, "after_seconds": 1},
            {"answer": {"status": "cancelled"}},
            {"answer": {"status": "resolved", "payload": {"approve": "perhaps"}}},
            {"answer": {"status": "resolved", "payload": yes}},
            state={"inputs": BRIEF},
        ),
        another_answers(),
    )
    first, refused, second, wrong, last = turns
    assert "HTTP 409" in refused["error"]
    assert (first["outcome"], second["outcome"]) == ("interrupt", "interrupt")
    assert first["pendingInterrupts"] != second["pendingInterrupts"]
    assert "HTTP 422" in wrong["error"]
    assert "/resume/0/payload/approve" in wrong["error"]
    assert (last["outcome"], last["pendingInterrupts"]) == ("success", [])


async def test_the_inputs_in_the_state_serve_every_turn(serve: Any):
    server = await serve()
    state = {"inputs": BRIEF, "theme": "dark"}
    turns = await server.talk("research_brief", {}, {"say": "once more"}, state=state)
    for seen in turns:
        assert (seen["outcome"], seen["warnings"]) == ("success", [])
        assert {key: seen["state"][key] for key in state} == state
    assert len({seen["state"]["flow"]["id"] for seen in turns}) == 2
    assert len(turns[1]["newMessages"]) == len(turns[0]["newMessages"]) > 0


async def test_a_cancelled_flow_ends_the_run_as_cancelled(serve: Any):
    server = await serve(pause_seconds=0.2)

    async def cancel() -> None:
        flow = await server.flow_that_is(Status.RUNNING)
        await asyncio.sleep(0.5)  # it is in the middle of a message
        await FlowControl(bootstrap.ledger(), bootstrap.wake_queue()).cancel(
            tenant="acme", flow=flow
        )

    (seen,), _ = await asyncio.gather(server.talk("haiku", {"say": "rain"}), cancel())
    assert (seen["outcome"], seen["warnings"]) == ("cancelled", [])
    assert "error" not in seen

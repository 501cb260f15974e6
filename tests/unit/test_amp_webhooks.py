"""Webhook bodies, as CrewAI AMP's are."""

from typing import Any

from core.webhooks.events import webhook_events
from functions._amp.webhook_bodies import render
from tests.fixtures_ports import Flows, in_memory
from tests.webhook_parts import META, Story


async def bodies(flows: Flows) -> list[dict[str, Any]]:
    state = await flows.ledger.state(flows.tenant, "f1")
    log = await flows.log.entries(flows.tenant, "f1", 0, 1000)
    return [render(state, event.notification) for event in webhook_events(state, log)]


async def test_bodies_have_the_words_of_amp():
    flows = in_memory()
    await (await Story(flows).launched("http://h")).whole()
    step, task, _, waiting, _, _, approved, end = await bodies(flows)
    assert step == {
        "prompt": "Find words on rain",
        "thought": "",
        "tool": None,
        "tool_input": None,
        "result": '{"words": ["drop"]}',
        "step": "find",
        "task_id": "find",
        "agent": "Poet",
        "kickoff_id": "f1",
        "meta": META,
    }
    assert task == {
        "name": "find",
        "task_id": "find",
        "description": "Find words on rain",
        "expected_output": "Words",
        "summary": "Find words on rain...",
        "agent": "Poet",
        "output": '{"words": ["drop"]}',
        "output_json": {"words": ["drop"]},
        "kickoff_id": "f1",
        "meta": META,
    }
    assert waiting == {
        "status": "pending_human_input",
        "execution_id": "f1",
        "task_id": "write",
        "review": "write.review.1",
        "agent": "Poet",
        "output": "Ah",
        "output_json": None,
        "kickoff_id": "f1",
        "meta": META,
    }
    assert (approved["name"], approved["output"]) == ("write", "Oh")
    assert end == {
        "status": "completed",
        "result": "Oh",
        "result_json": None,
        "token_usage": {"total_tokens": 0, "prompt_tokens": 0, "completion_tokens": 0},
        "kickoff_id": "f1",
        "meta": META,
    }


async def test_a_flow_that_failed_says_why():
    flows = in_memory()
    await (await Story(flows).launched("http://h")).failed("no words came")
    (end,) = await bodies(flows)
    assert (end["status"], end["result"]) == ("error", None)
    assert end["error"] == "no words came"

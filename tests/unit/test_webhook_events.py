"""What a flow's log means to its webhooks."""

from core.flows import Entry, Flow
from core.webhooks.events import webhook_events
from core.webhooks.outbox import DeliveryCursor, WebhookKind
from tests.fixtures_ports import Flows, in_memory
from tests.webhook_parts import META, WHOLE, Story


async def told(flows: Flows, after: int = 0) -> tuple[Flow, list[Entry]]:
    state = await flows.ledger.state(flows.tenant, "f1")
    return state, await flows.log.entries(flows.tenant, "f1", after, 1000)


async def a_whole_flow() -> Flows:
    flows = in_memory()
    await (await Story(flows).launched("http://h")).whole()
    return flows


async def test_a_flow_tells_of_steps_tasks_waits_and_its_end_in_order():
    found = list(webhook_events(*await told(await a_whole_flow())))
    assert [event.kind for event in found] == WHOLE
    assert [event.cursor for event in found] == sorted(event.cursor for event in found)
    assert {event.url for event in found} == {f"http://h/{kind}" for kind in WebhookKind}


async def test_bodies_have_the_words_of_amp():
    step, task, _, waiting, _, _, approved, end = [
        event.body for event in webhook_events(*await told(await a_whole_flow()))
    ]
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


async def test_wherever_the_telling_goes_on_it_tells_what_is_left_and_no_more():
    flows = await a_whole_flow()
    state, log = await told(flows)
    every = list(webhook_events(state, log))
    for after in range(state.head.sequence + 1):
        rest = list(webhook_events(state, [entry for entry in log if entry.number > after]))
        assert rest == [event for event in every if event.cursor > DeliveryCursor.after(after)]


async def test_only_what_has_an_address_is_told():
    flows = in_memory()
    story = await Story(flows).launched("", crew="http://h/only")
    await story.whole()
    found = list(webhook_events(*await told(flows)))
    assert [event.kind for event in found] == [WebhookKind.CREW] * 3
    assert {event.url for event in found} == {"http://h/only"}


async def test_a_flow_that_failed_says_why():
    flows = in_memory()
    await (await Story(flows).launched("http://h")).failed("no words came")
    (end,) = webhook_events(*await told(flows))
    assert (end.body["status"], end.body["result"]) == ("error", None)
    assert end.body["error"] == "no words came"

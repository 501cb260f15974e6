"""What a flow's log means to its webhooks."""

from dataclasses import replace

from core.flows import Entry, Flow
from core.webhooks.events import webhook_events
from core.webhooks.outbox import DeliveryCursor, WebhookKind
from tests.fixtures_ports import Flows, in_memory
from tests.webhook_parts import WHOLE, Story


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
    assert {event.url for event in found} == {f"http://h/{kind}" for kind in WHOLE}


async def test_wherever_the_telling_goes_on_it_tells_what_is_left_and_no_more():
    flows = await a_whole_flow()
    state, log = await told(flows)
    every = list(webhook_events(state, log))
    for after in range(state.head.last_event + 1):
        rest = list(webhook_events(state, [entry for entry in log if entry.number > after]))
        assert rest == [event for event in every if event.cursor > DeliveryCursor.after(after)]


async def test_only_what_has_an_address_is_told():
    flows = in_memory()
    story = await Story(flows).launched("", crew="http://h/only")
    await story.whole()
    found = list(webhook_events(*await told(flows)))
    assert [event.kind for event in found] == [WebhookKind.CREW] * 3
    assert {event.url for event in found} == {"http://h/only"}


async def test_what_an_answer_adds_is_in_use_from_it_on():
    flows = in_memory()
    story = await Story(flows).launched("", human_input="http://h/person")
    await story.finished("find", "drop")
    await story.finished("write", "Ah")
    await story.waits("write.review.1", "Ah")
    added = {"task": "http://h/task", "crew": "http://h/crew"}
    await story.answered("write.review.1", approve=True, webhooks=added)
    await story.ended()
    found = list(webhook_events(*await told(flows)))
    assert [event.url for event in found] == ["http://h/person", "http://h/task", "http://h/crew"]
    number = found[1].cursor.number  # and whoever goes on after the answer knows it too
    state, log = await told(flows, number)
    assert list(webhook_events(state, log)) == found[2:]


async def test_of_a_crew_of_another_version_everything_is_told():
    flows = in_memory()
    await (await Story(flows).launched("http://h")).whole()
    state, log = await told(flows)
    other = replace(state, definition=state.definition | {"of_another_version": 1})
    assert list(webhook_events(other, log)) == list(webhook_events(state, log))


async def test_of_a_crew_that_cannot_be_run_it_is_still_told_that_the_flow_ended():
    flows = in_memory()
    await (await Story(flows).launched("http://h")).whole()
    state, log = await told(flows)
    other = replace(state, definition=state.definition | {"process": "of another version"})
    kinds = [event.kind for event in webhook_events(other, log)]
    assert kinds == [WebhookKind.CREW] * 3

"""What every Journals does."""

import asyncio

import pytest

from core.crews.ledger import Claim, FencedError, StepWrite
from core.errors import NotFoundError
from core.flows import Status
from tests.contract.due_parts import held, launched
from tests.fixtures_ports import Flows


async def test_what_a_claim_kept_the_next_one_finds_and_nobody_else(flows: Flows):
    await launched(flows)
    first, other = await held(flows, 0, lease_ms=1), await held(flows, 1)
    await flows.journals.keep(first, {"a": '"\u00e9\\ud800"', "b": "[1]"})
    await flows.journals.keep(first, {"b": "[2]"})
    await flows.journals.keep(other, {"a": "{}"})
    await asyncio.sleep(0.01)
    again = await held(flows, 0)
    assert await flows.journals.entries(again) == {"a": '"\u00e9\\ud800"', "b": "[2]"}
    await flows.journals.forget(again, ["b", "nothing"])
    assert await flows.journals.entries(again) == {"a": '"\u00e9\\ud800"'}
    assert await flows.journals.entries(other) == {"a": "{}"}


async def refuses(flows: Flows, claim: Claim) -> None:
    with pytest.raises(FencedError):
        await flows.journals.keep(claim, {"late": "1"})


async def test_who_lost_a_step_keeps_nothing_of_it(flows: Flows):
    await launched(flows)
    lost = await held(flows, 0, lease_ms=1)
    await asyncio.sleep(0.01)
    again = await held(flows, 0)
    await refuses(flows, lost)
    assert await flows.journals.entries(again) == {}


async def test_who_gave_a_step_back_keeps_nothing_of_it(flows: Flows):
    await launched(flows)
    claim = await held(flows, 0)
    await flows.ledger.release(claim, 1, StepWrite(), delay_ms=0, reason="stops")
    await refuses(flows, claim)
    last = await held(flows, 0)
    assert await flows.journals.entries(last) == {}
    await flows.ledger.commit(last, 1, {"output": 1}, StepWrite())
    await refuses(flows, last)


async def test_a_step_that_was_given_back_is_known_on(flows: Flows):
    await launched(flows)
    claim = await held(flows, 0)
    await flows.journals.keep(claim, {"a": "1"})
    await flows.ledger.release(claim, 1, StepWrite(), delay_ms=0, reason="stops")
    assert await flows.journals.entries(await held(flows, 0)) == {"a": "1"}


async def test_the_journal_of_a_step_that_is_done_is_gone(flows: Flows):
    await launched(flows)
    claim, other = await held(flows, 0), await held(flows, 1)
    await flows.journals.keep(other, {"a": "1"})
    await flows.journals.keep(claim, {"a": "1", "b": "2"})
    write = StepWrite(journal=("a", "b"))
    for _ in range(2):  # the second is a reply that was lost
        await flows.ledger.commit(claim, 1, {"output": 1}, write)
    assert await flows.journals.entries(claim) == {}
    assert await flows.journals.entries(other) == {"a": "1"}


async def ends(flows: Flows, to: Status) -> None:
    """Have a flow end while a step with a journal is under way."""
    await launched(flows)
    claim = await held(flows, 0)
    await flows.journals.keep(claim, {"a": "1"})
    await flows.ledger.transition(flows.tenant, "f1", to, status_epoch=0, events=[])
    assert await flows.journals.entries(claim) == {}
    await refuses(flows, claim)


async def test_the_journals_of_a_flow_that_failed_end_with_it(flows: Flows):
    await ends(flows, Status.FAILED)


async def test_the_journals_of_a_flow_that_was_cancelled_end_with_it(flows: Flows):
    await ends(flows, Status.CANCELLED)


async def test_of_a_flow_that_is_gone_nothing_is_kept(flows: Flows):
    with pytest.raises(NotFoundError):
        await flows.journals.keep(Claim(flows.tenant, "gone", "one", 1), {"a": "1"})

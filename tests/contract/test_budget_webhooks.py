"""Alerts of budgets that have an address of their own. Over memory and over Redis, to real receivers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from core.adapters.http_webhooks import HttpWebhookSender
from core.costs.budget import Budget, Scope, Verdict
from core.costs.windows import Window
from core.crews.ledger import Claim
from core.flows import Status
from core.webhooks.dispatch import DispatchParts
from core.webhooks.dispatch_times import DispatchTimes
from core.webhooks.dispatcher import WebhookDispatcher
from core.webhooks.signing import Signer
from core.webhooks.targets import Targets
from functions._amp.webhook_bodies import render
from tests.contract.budget_parts import COST, REAL, a_budget, limited, says, shortest
from tests.contract.test_call_ledger import call
from tests.contract.test_usage_book import USED
from tests.contract.test_usage_book import call as reported
from tests.fixtures_ports import Flows
from tests.webhook_parts import OK, OOPS, SECRET, Receiver, receiving

SOON = DispatchTimes(delays=(0.01,) * 2, lease=5.0, poll=(0.02, 0.05))


def dispatcher(flows: Flows, *receivers: Receiver) -> WebhookDispatcher:
    targets = Targets({flows.tenant: [receiver.url for receiver in receivers]})
    parts = DispatchParts(
        flows.outbox, flows.log, HttpWebhookSender(timeout_seconds=2), targets, Signer((SECRET,)),
        render, SOON, budgets=flows.budgets,
    )  # fmt: skip
    return WebhookDispatcher(parts)


async def sent(flows: Flows, *receivers: Receiver, looks: int = 1) -> None:
    for _ in range(looks):
        await dispatcher(flows, *receivers).deliver_once()
        await asyncio.sleep(0.02)


async def spent(flows: Flows, claim: Claim, number: int, cost: int) -> None:
    """Make a call that costs so much."""
    made = call(claim, number)
    assert await says(flows, made) is None
    await flows.calls.settle(made, replace(REAL, cost_nanodollars=cost), [])


async def test_alerts_are_sent_to_the_address_of_their_budget(flows: Flows):
    async with receiving() as receiver:
        budget = a_budget(2, alerts=(50, 100), webhook=f"{receiver.url}/budgets")
        claim = await limited(flows, budget, a_budget(2, id="silent"))
        await spent(flows, claim, 1, COST)
        await sent(flows, receiver, looks=2)
        assert len(receiver.posts) == 1
        [post] = receiver.posts
        assert post.path == "/budgets"
        assert post.signed_for(flows.tenant)
        body = post.body
        assert (body["type"], body["budget"], body["percent"]) == ("budget_alert", "b", 50)
        assert (body["spent_nanodollars"], body["limit_nanodollars"]) == (COST, 2 * COST)
        await spent(flows, claim, 2, COST)
        await sent(flows, receiver, looks=2)
    assert [post.body["percent"] for post in receiver.posts] == [50, 100]
    assert len({post.id for post in receiver.posts}) == 2


async def test_a_call_that_passes_several_percentages_sends_the_highest(flows: Flows):
    """Nothing keeps webhooks of one moment in order, and who keeps the last shall know the most."""
    async with receiving() as receiver:
        budget = a_budget(1, alerts=(50, 80, 100), webhook=f"{receiver.url}/budgets")
        claim = await limited(flows, budget)
        await spent(flows, claim, 1, COST)
        await sent(flows, receiver, looks=3)
    assert [post.body["percent"] for post in receiver.posts] == [100]


async def test_the_flow_whose_call_it_was_tells_its_own_webhook_too(flows: Flows):
    async with receiving() as of_flow, receiving() as of_budget:
        budget = a_budget(2, alerts=(50,), webhook=f"{of_budget.url}/budgets")
        hooks = {"crew": f"{of_flow.url}/crew", "task": f"{of_flow.url}/task", "meta": {"n": 1}}
        claim = await limited(flows, budget, a_budget(2, id="silent", alerts=(50,)), webhooks=hooks)
        await sent(flows, of_flow, of_budget)
        await spent(flows, claim, 1, COST)
        await asyncio.sleep(
            SOON.soonest_ms / 1000
        )  # it runs on, and its log is looked at now and then
        await sent(flows, of_flow, of_budget, looks=2)
        assert [post.path for post in of_flow.posts] == ["/crew", "/crew"]
        bodies = sorted((post.body for post in of_flow.posts), key=lambda each: each["budget"])
        assert all(post.signed_for(flows.tenant) for post in of_flow.posts)
        assert {each["type"] for each in bodies} == {"budget_alert"}
        assert [each["budget"] for each in bodies] == ["b", "silent"]
        assert (bodies[0]["percent"], bodies[0]["kickoff_id"], bodies[0]["meta"]) == (
            50,
            "f1",
            {"n": 1},
        )
        [told] = [post.body for post in of_budget.posts]
        assert told.items() - {("timestamp", told["timestamp"])} <= bodies[0].items()
        await sent(flows, of_flow, of_budget, looks=2)
    assert (len(of_flow.posts), len(of_budget.posts)) == (2, 1)


async def test_alerts_are_told_again_of_a_limit_that_was_changed(flows: Flows):
    async with receiving() as receiver:
        hook = {"alerts": (50,), "webhook": f"{receiver.url}/b"}
        claim = await limited(flows, a_budget(2, **hook))
        await spent(flows, claim, 1, COST)
        await flows.budgets.save(flows.tenant, a_budget(4, **hook))
        await spent(flows, claim, 2, COST // 10)
        await sent(flows, receiver, looks=2)
        assert [post.body["percent"] for post in receiver.posts] == [50]
        await spent(flows, claim, 3, COST)
        await sent(flows, receiver, looks=2)
    told = [(post.body["percent"], post.body["limit_nanodollars"]) for post in receiver.posts]
    assert told == [(50, 2 * COST), (50, 4 * COST)]
    assert len({post.id for post in receiver.posts}) == 2


@pytest.mark.parametrize("window", [Window.DAY, Window.MONTH, Window.FLOW])
async def test_a_hard_budget_that_refuses_a_call_tells_its_address_once_of_each_limit(
    flows: Flows, window: Window
):
    async with receiving() as receiver:
        hook = {"window": window, "webhook": f"{receiver.url}/b"}
        claim = await limited(flows, a_budget(1.25, **hook))
        await spent(flows, claim, 1, COST // 2)
        for number in (2, 3):
            refusal = await flows.calls.reserve(shortest(call(claim, number), COST - 1))
            assert refusal is not None
            assert (refusal.verdict, refusal.needed_nanodollars) == (Verdict.EXHAUSTED, COST - 1)
            await sent(flows, receiver)
        assert len(receiver.posts) == 1
        post = receiver.posts[0]
        sums = ("spent_nanodollars", "left_nanodollars", "needed_nanodollars", "limit_nanodollars")
        assert post.body["type"] == "budget_exhausted"
        assert [post.body[each] for each in sums] == [
            COST // 2, round(0.75 * COST), COST - 1, round(1.25 * COST),
        ]  # fmt: skip
        await flows.budgets.save(flows.tenant, a_budget(1.3, **hook))
        assert await says(flows, call(claim, 4)) is Verdict.EXHAUSTED
        await sent(flows, receiver)
    assert len({post.id for post in receiver.posts}) == 2


async def test_whoever_is_killed_before_it_has_an_answer_leaves_it_to_the_next(flows: Flows):
    async with hanging() as hangs, receiving() as receiver:
        claim = await limited(flows, a_budget(2, webhook=f"{hangs.url}/b"))
        await spent(flows, claim, 1, COST)
        [(_, delivery)] = (await flows.outbox.lease(10, 10, lease_ms=30)).items
        assert delivery.alert is not None
        await asyncio.sleep(0.05)  # nobody hears of it again
        await flows.budgets.save(flows.tenant, a_budget(2, webhook=f"{receiver.url}/b"))
        await sent(flows, receiver)
    assert len(receiver.posts) == 1


@contextlib.asynccontextmanager
async def hanging() -> AsyncIterator[Receiver]:
    async with receiving(lambda _: None) as receiver:
        yield receiver


async def test_a_receiver_that_fails_is_asked_again_and_holds_up_no_other(flows: Flows):
    answers = iter([OOPS, OOPS, OK])
    async with receiving(lambda _: next(answers)) as fails, receiving() as works:
        budgets = (a_budget(2, id=name, alerts=(50,), webhook=f"{each.url}/{name}")
                   for name, each in (("fails", fails), ("works", works)))  # fmt: skip
        claim = await limited(flows, *budgets)
        await spent(flows, claim, 1, COST)
        await sent(flows, fails, works)
        assert (len(fails.posts), len(works.posts)) == (1, 1)
        await sent(flows, fails, works, looks=4)
    assert (len(fails.posts), len(works.posts)) == (3, 1)
    assert len({post.id for post in fails.posts}) == 1


async def test_one_that_never_takes_it_is_given_up(flows: Flows):
    async with receiving(lambda _: OOPS) as receiver:
        claim = await limited(flows, a_budget(2, alerts=(50,), webhook=f"{receiver.url}/b"))
        await spent(flows, claim, 1, COST)
        await sent(flows, receiver, looks=SOON.tries + 3)
    assert len(receiver.posts) == SOON.tries


async def test_an_address_that_is_no_longer_allowed_is_not_called(flows: Flows):
    async with receiving() as receiver, receiving() as other:
        claim = await limited(flows, a_budget(2, webhook=f"{receiver.url}/b"))
        await spent(flows, claim, 1, COST)
        await sent(flows, other, looks=SOON.tries + 2)
    assert receiver.connections == 0


async def test_a_budget_that_was_removed_tells_nobody(flows: Flows):
    async with receiving() as receiver:
        claim = await limited(flows, a_budget(2, webhook=f"{receiver.url}/b"))
        await spent(flows, claim, 1, COST)
        await flows.budgets.delete(flows.tenant, "b")
        await sent(flows, receiver, looks=2)
    assert receiver.posts == []


async def test_calls_made_elsewhere_and_budgets_of_flows_are_told_too(flows: Flows):
    async with receiving() as receiver:
        url = f"{receiver.url}/b"
        month = Budget("m", Scope.TENANT, Window.MONTH, USED.cost_nanodollars, alerts=(100,))
        each = Budget("f", Scope.FLOW, Window.FLOW, 2 * COST, alerts=(50,))
        claim = await limited(
            flows, replace(each, webhook=url), replace(month, hard=False, webhook=url)
        )
        await flows.usage.record(flows.tenant, [reported()])
        await spent(flows, claim, 1, COST)
        await flows.ledger.transition(
            flows.tenant, "f1", Status.CANCELLED, status_epoch=0, events=[]
        )
        await sent(flows, receiver, looks=2)
    assert sorted(post.body["budget"] for post in receiver.posts) == ["f", "m"]

"""Deleting flows and inputs over HTTP."""

from types import ModuleType

import httpx
import pytest

from core.adapters.memory import MemoryOutbox
from core.blobs import flow_prefix
from core.crews.ledger import FencedError
from core.errors import NotFoundError
from core.webhooks.outbox import Delivery
from functions import crew_launch, flow_events, flow_status
from tests.e2e.apps import App, begin, end
from tests.fixtures_ports import a_launch


async def deleted(app: App, path: str, tenant: str = "acme") -> httpx.Response:
    async with app.client(crew_launch, tenant=tenant) as client:
        return await client.delete(path)


async def found(app: App, function: ModuleType, path: str) -> int:
    async with app.client(function) as client:
        return (await client.get(path)).status_code


async def an_input(app: App) -> str:
    async with app.client(crew_launch) as client:
        return (await client.post("/v1/inputs", content=b"a,b")).json()["id"]


async def test_an_ended_flow_is_deleted_and_then_not_found(app: App):
    await begin(app.flows)
    await end(app.flows)
    answer = await deleted(app, "/v1/flows/f1")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await deleted(app, "/v1/flows/f1")).status_code == 404
    assert await found(app, flow_status, "/v1/flows/f1") == 404
    assert await found(app, flow_events, "/v1/flows/f1/events?after=0") == 404
    async with app.client(flow_status) as client:
        assert (await client.get("/v1/flows")).json()["flows"] == []


async def test_a_flow_that_runs_is_to_be_cancelled_first(app: App):
    await begin(app.flows)
    answer = await deleted(app, "/v1/flows/f1")
    assert answer.status_code == 409
    assert answer.json()["detail"] == "the flow is running: cancel it first"
    async with app.client(crew_launch) as client:
        await client.post("/v1/flows/f1/cancel")
    assert (await deleted(app, "/v1/flows/f1")).status_code == 204


async def test_its_blobs_go_with_a_flow_and_nothing_else_does(app: App):
    await begin(app.flows)
    await end(app.flows)
    kept = await an_input(app)
    mine, others = flow_prefix("f1") + "x", flow_prefix("f11") + "x"
    for tenant, blob in (("acme", mine), ("acme", others), ("rival", mine)):
        app.blobs.put(tenant, blob, b"large", "application/json")
    await deleted(app, "/v1/flows/f1")
    with pytest.raises(NotFoundError):
        app.blobs.size("acme", mine)
    sizes = [app.blobs.size(*blob) for blob in (("acme", others), ("rival", mine), ("acme", kept))]
    assert sizes == [5, 5, 3]


async def test_no_webhook_of_a_deleted_flow_is_kept_waiting(app: App):
    await app.flows.create("acme", a_launch(webhooks={"url": "https://example.com"}))
    async with app.client(crew_launch) as client:
        await client.post("/v1/flows/f1/cancel")
    outbox = MemoryOutbox(app.flows)
    leased = (await outbox.lease(9, 9, 60_000)).items
    assert [(tenant, delivery.flow) for tenant, delivery in leased] == [("acme", "f1")]
    delivery: Delivery = leased[0][1]
    await deleted(app, "/v1/flows/f1")
    with pytest.raises(FencedError):
        await outbox.save("acme", delivery, 0)
    assert list((await outbox.lease(9, 9, 60_000)).items) == []


async def test_an_input_is_deleted_and_then_not_found(app: App):
    path = f"/v1/inputs/{await an_input(app)}"
    answer = await deleted(app, path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await deleted(app, path)).status_code == 404


async def test_another_tenants_input_is_not_found_and_stays(app: App):
    blob = await an_input(app)
    strange = [f"/v1/inputs/{blob}", "/v1/inputs/in_1", "/v1/inputs/flows", "/v1/inputs/..%2Fx"]
    answers = [await deleted(app, path, tenant="rival") for path in strange]
    assert {answer.status_code for answer in answers} == {404}
    assert app.blobs.size("acme", blob) == 3

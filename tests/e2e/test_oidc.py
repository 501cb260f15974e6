"""An OIDC issuer beside keys of our own, through the functions."""

import time

import pytest

from core import bootstrap
from core.issuer import Issuer
from functions import cost_report, flow_status
from tests.e2e.apps import App, begin
from tests.unit.test_issuer import NEW, TRUSTED, Published, published, signed


def bearer(**claims: object) -> dict[str, str]:
    return {"authorization": f"Bearer {signed(now=int(time.time()), **claims)}"}


async def test_tokens_of_the_issuer_and_of_our_own_keys_are_taken_side_by_side(app: App):
    await begin(app.flows)
    with bootstrap.replace(issuer=Issuer(TRUSTED, published())):
        async with app.client(flow_status) as client:
            ours = await client.get("/v1/flows/f1")
            theirs = await client.get("/v1/flows/f1", headers=bearer())
            rival = await client.get("/v1/flows/f1", headers=bearer(tenant="rival"))
            polled = {"if-none-match": theirs.headers["etag"]}
            unchanged = await client.get("/v1/flows/f1", headers=bearer() | polled)
    assert (ours.status_code, theirs.status_code, rival.status_code) == (200, 200, 404)
    assert theirs.json() == ours.json()
    assert unchanged.status_code == 304


async def test_a_token_without_the_scope_is_known_and_not_permitted(app: App):
    with bootstrap.replace(issuer=Issuer(TRUSTED, published())):
        async with app.client(cost_report) as client:
            answer = await client.get("/v1/costs", headers=bearer())
    assert answer.status_code == 403


async def test_without_an_issuer_its_tokens_are_a_stranger_s(app: App):
    async with app.client(flow_status) as client:
        assert (await client.get("/v1/flows/f1", headers=bearer())).status_code == 401


@pytest.mark.parametrize("headers", [{}, {"if-none-match": '"x"'}], ids=["read", "poll"])
async def test_while_there_are_no_keys_the_answer_says_so_and_when_to_come_back(
    app: App, headers: dict[str, str]
):
    document = Published()
    document.fails = True
    with bootstrap.replace(issuer=Issuer(TRUSTED, document)):
        async with app.client(flow_status) as client:
            answer = await client.get("/v1/flows/f1", headers=bearer() | headers)
            ours = await client.get("/v1/flows/f1")
    assert answer.status_code == 503
    assert "issuer" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "5"
    assert ours.status_code == 404


async def test_a_forged_token_is_refused_and_told_nothing_of_the_issuer(app: App):
    forged = {"authorization": f"Bearer {signed(NEW, 'old', now=int(time.time()))}"}
    with bootstrap.replace(issuer=Issuer(TRUSTED, published())):
        async with app.client(flow_status) as client:
            answer = await client.get("/v1/flows/f1", headers=forged)
    assert answer.status_code == 401
    assert TRUSTED.issuer not in answer.text

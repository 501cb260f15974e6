"""Outputs and drafts do not change any more: who has one is not sent it again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.blobs import BlobRef
from core.flows import Status, events
from core.flows.values import draft_blob
from functions import flow_status
from tests.e2e.apps import App, begin, opened

SMALL, LARGE = {"said": "rain"}, "x" * 2_000_000
OUTPUT, DRAFT = "/v1/flows/f1/output", "/v1/flows/f1/output?review=one.review.1"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path) as app:
        yield app


@pytest.fixture(params=[SMALL, LARGE], ids=["in the state", "in the object store"])
async def output(app: App, request: pytest.FixtureRequest) -> Any:
    """Have the flow end with an output; it once had a draft."""
    await begin(app.flows)
    kept, ref = request.param, request.param
    if request.param is LARGE:
        data = json.dumps(LARGE).encode()
        app.blobs.put("acme", "flows/f1/output", data, "application/json")
        ref = BlobRef("flows/f1/output", len(data))
    await app.flows.transition(
        "acme", "f1", Status.SUCCEEDED, status_epoch=0, output=ref,
        events=events.run_finished("f1", 1),
    )  # fmt: skip
    incarnation = (await app.flows.head("acme", "f1")).incarnation
    app.blobs.put("acme", draft_blob("f1", incarnation, "one.review.1"), b'"a draft"', "")
    return kept


async def got(app: App, path: str, **headers: str) -> httpx.Response:
    given = {"accept-encoding": "identity"} | {k.replace("_", "-"): v for k, v in headers.items()}
    async with app.client(flow_status) as client:
        return await client.get(path, headers=given)


async def test_an_output_is_sent_once(app: App, output: Any):
    first = await got(app, OUTPUT)
    assert (first.status_code, first.json()) == (200, output)
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = await got(app, OUTPUT, if_none_match=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["cache-control"] == first.headers["cache-control"]
    coded = await got(app, OUTPUT, accept_encoding="gzip")
    assert coded.headers["etag"] == f"W/{tag}"


async def test_the_tag_of_another_thing_is_no_reason_to_send_nothing(app: App, output: Any):
    draft = await got(app, DRAFT)
    state = await got(app, "/v1/flows/f1")
    for tag in (draft.headers["etag"], state.headers["etag"], '"1.00000000.output"'):
        answer = await got(app, OUTPUT, if_none_match=tag)
        assert (answer.status_code, answer.json()) == (200, output)


async def test_a_draft_has_a_tag_of_its_own(app: App, output: Any):
    del output
    draft = await got(app, DRAFT)
    assert draft.json() == "a draft"
    again = await got(app, DRAFT, if_none_match=draft.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


async def test_a_tag_opens_nothing(app: App, output: Any):
    del output
    tag = (await got(app, OUTPUT)).headers["etag"]
    async with app.client(flow_status, tenant="rival") as client:
        assert (await client.get(OUTPUT, headers={"if-none-match": tag})).status_code == 404

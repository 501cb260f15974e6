"""The page's form: inputs of all kinds, asked for as their JSON Schema says."""

import json
from typing import Any

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.browser.conftest import Viewer
from tests.browser.network import PASS, Fate, Network, Request, answer

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCHEMA = {
    "type": "object",
    "required": ["contract"],
    "properties": {
        "contract": {"type": "string", "minLength": 1},
        "place": {"type": "string", "minLength": 2},
        "tone": {"enum": ["formal", "friendly"], "default": "friendly"},
        "stars": {"type": "integer", "enum": [1, 2, 3]},
        "urgent": {"type": "boolean"},
        "name": {"type": ["string", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "limit": {"type": "integer", "minimum": 1},
        "options": {"type": "object"},
        "document": {"type": "string", "format": "crewline-input"},
        "file": {"type": "string", "description": "The name of a file."},
    },
}


async def form_of(viewer: Viewer, net: Network) -> Page:
    """Open the page on a deployment whose one crew takes inputs of all kinds."""
    crews = {"crews": [{"name": "forms", "description": "d", "inputs": SCHEMA}]}
    body = json.dumps(crews).encode()
    listed = answer("200 OK", "content-type: application/json", body=body)
    refusal = {"detail": "wrong", "errors": [{"pointer": "/inputs/limit", "detail": "too many"}]}
    stored = answer("201 Created", "content-type: application/json", body=b'{"id":"in_1"}')
    refused = answer(
        "422 No", "content-type: application/problem+json", body=json.dumps(refusal).encode()
    )

    def fate(request: Request) -> Fate:
        if request.target == "/v1/crews":
            return listed
        if request.target == "/v1/inputs":
            return stored
        return refused if request.method == "POST" else PASS

    net.fate = fate
    page = await viewer.context.new_page()
    await page.goto(viewer.net.url)
    await page.get_by_label("Token").fill(viewer.token)
    await page.get_by_label("Token").press("Tab")
    await page.get_by_label("contract").fill("x")
    await page.get_by_text("More inputs").click()
    return page


async def sent(net: Network, page: Page) -> dict[str, Any]:
    """Launch, and return the inputs that the page sent."""
    before = len(net.requests)
    await page.get_by_role("button", name="Launch").click()
    await expect(page.locator("#problem")).to_have_text("wrong")
    orders = [request for request in net.requests[before:] if request.target == "/v1/flows"]
    return json.loads(orders[0].body)["inputs"]


async def test_the_least_length_of_an_input_is_told_in_the_right_number(
    viewer: Viewer, net: Network
):
    page = await form_of(viewer, net)
    await expect(page.locator("#hint-contract")).to_have_text("at least 1 character")
    await expect(page.locator("#hint-place")).to_have_text("at least 2 characters")


async def test_an_input_that_was_not_touched_is_not_sent(viewer: Viewer, net: Network):
    page = await form_of(viewer, net)
    assert await sent(net, page) == {"contract": "x"}


async def test_inputs_are_sent_in_the_types_of_their_schema(viewer: Viewer, net: Network):
    page = await form_of(viewer, net)
    for name, label in (("tone", "formal"), ("stars", "2"), ("urgent", "no")):
        await page.get_by_label(name).select_option(label=label)
    for name, text in (
        ("name", "Anna"),
        ("tags", "a\nb\n"),
        ("limit", "3"),
        ("options", '{"a": 1}'),
        ("file", "a.csv"),
    ):
        await page.get_by_label(name, exact=True).fill(text)
    csv = FilePayload(name="a.csv", mimeType="text/csv", buffer=b"a,b")
    await page.get_by_label("document", exact=True).set_input_files(csv)
    assert await sent(net, page) == {
        "document": "in_1",
        "file": "a.csv",
        "contract": "x",
        "tone": "formal",
        "stars": 2,
        "urgent": False,
        "name": "Anna",
        "tags": ["a", "b"],
        "limit": 3,
        "options": {"a": 1},
    }


async def test_what_is_wrong_with_an_input_is_said_at_its_field(viewer: Viewer, net: Network):
    page = await form_of(viewer, net)
    await sent(net, page)
    await expect(page.locator("div:has(> #input-limit) .wrong")).to_have_text("too many")
    await page.get_by_label("options").fill("{a: 1}")
    await page.get_by_role("button", name="Launch").click()
    await expect(page.locator("#problem")).to_contain_text("options: this must be JSON")

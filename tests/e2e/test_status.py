"""Polling the state of flows over HTTP."""

from pathlib import Path

import httpx
import pytest

from core.adapters.memory import MemoryFlows
from core.flows import Flow, Head, Status
from functions import flow_status
from tests.e2e.apps import App, begin, claim_first, end, opened, tell
from tests.fixtures_ports import a_launch


class Counting(MemoryFlows):
    """Remembers which reads were asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        self.reads.append("head")
        return await super().head(tenant, flow, fresh=fresh)

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        self.reads.append("snapshot")
        return await super().snapshot(tenant, flow, fresh=fresh)


async def polled(app: App, etag: str | None = None, flow: str = "f1") -> httpx.Response:
    headers = {"accept-encoding": "identity"} | ({"if-none-match": etag} if etag else {})
    async with app.client(flow_status) as client:
        return await client.get(f"/v1/flows/{flow}", headers=headers)


async def test_the_state_comes_with_its_tag_and_may_not_be_shared(app: App):
    await begin(app.flows)
    answer = await polled(app)
    state = await app.flows.snapshot("acme", "f1")
    assert answer.status_code == 200
    assert answer.json() == state.public()
    assert answer.headers["etag"] == state.head.etag
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization, Accept-Encoding"
    assert answer.headers["retry-after"] == "2"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "inputs" not in answer.text


async def test_a_poll_that_is_up_to_date_gets_the_same_headers_and_no_body(app: App):
    await begin(app.flows)
    full = await polled(app)
    answer = await polled(app, full.headers["etag"])
    assert answer.status_code == 304
    assert answer.content == b""
    for name in ("etag", "cache-control", "vary", "retry-after"):
        assert answer.headers[name] == full.headers[name]
    assert "content-type" not in answer.headers


async def test_a_poll_reads_the_state_only_when_it_has_changed(tmp_path: Path):
    flows = Counting()
    with opened(tmp_path, flows) as app:
        await begin(flows)
        etag = (await polled(app)).headers["etag"]
        assert flows.reads.pop() == "snapshot"
        flows.reads.clear()
        assert (await polled(app, etag)).status_code == 304
        assert flows.reads == ["head"]
        await end(flows)
        flows.reads.clear()
        assert (await polled(app, etag)).status_code == 200
        assert flows.reads == ["head", "snapshot"]


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ("{tag}", 304),
        ("W/{tag}", 304),
        ('"other", {tag}', 304),
        ('"other" ,\t W/{tag} , ', 304),
        (" * ", 304),
        ("w/{tag}", 200),
        ('"other"', 200),
        ("{bare}", 200),
        ('"{bare}', 200),
        ("{upper}", 200),
        ("{tag}x", 200),
        ('"', 200),
        (",", 200),
        ("W/", 200),
        ('"a', 200),
    ],
)
async def test_tags_are_compared_weakly_and_to_the_letter(app: App, field: str, status: int):
    await app.flows.create("acme", a_launch(incarnation="abcdef01"))
    tag = (await app.flows.head("acme", "f1")).etag
    answer = await polled(app, field.format(tag=tag, bare=tag.strip('"'), upper=tag.upper()))
    assert answer.status_code == status


async def test_tags_may_stand_on_several_header_lines(app: App):
    await begin(app.flows)
    etag = (await app.flows.head("acme", "f1")).etag
    async with app.client(flow_status) as client:
        lines = [("if-none-match", '"x"'), ("if-none-match", etag)]
        assert (await client.get("/v1/flows/f1", headers=lines)).status_code == 304


async def test_a_flow_made_anew_under_the_same_id_never_reuses_a_tag(tmp_path: Path):
    tags: set[str] = set()
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
        with opened(tmp_path / name) as app:
            await begin(app.flows)
            tags.add((await polled(app)).headers["etag"])
    assert len(tags) == 2


async def test_events_that_do_not_change_the_state_do_not_change_the_tag(app: App):
    claim = await begin(app.flows)
    etag = (await polled(app)).headers["etag"]
    await tell(app.flows, claim, 1)
    assert (await polled(app, etag)).status_code == 304


class Restless(MemoryFlows):
    """A flow that ends as soon as its head has been read."""

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        seen = await super().head(tenant, flow, fresh=fresh)
        if not seen.status.terminal:
            await end(self, flow)
        return seen


async def test_if_the_flow_moves_on_between_two_reads_the_tag_is_that_of_the_state_sent(
    tmp_path: Path,
):
    with opened(tmp_path, Restless()) as app:
        await begin(app.flows)
        answer = await polled(app, '"stale"')
        assert answer.json()["status"] == "succeeded"
        assert answer.headers["etag"] == (await app.flows.head("acme", "f1")).etag


async def test_a_poller_is_told_when_to_come_back_until_the_flow_has_ended(app: App):
    await app.flows.create("acme", a_launch("queued"))
    await begin(app.flows)
    await end(app.flows)
    assert (await polled(app, flow="queued")).headers["retry-after"] == "5"
    ended = await polled(app)
    assert "retry-after" not in ended.headers
    assert ended.json()["output"] == "Oh"


async def test_head_answers_as_get_does_without_the_body(app: App):
    await begin(app.flows)
    async with app.client(flow_status) as client:
        client.headers["x-request-id"] = "r1"
        for path in ("/v1/flows", "/v1/flows/f1"):
            got, head = await client.get(path), await client.head(path)
            assert head.content == b""
            assert dict(head.headers) == dict(got.headers)


async def test_flows_are_listed_newest_first_page_by_page(tmp_path: Path):
    ticks = iter(range(1000, 2000))
    flows = MemoryFlows(now_ms=lambda: next(ticks))
    with opened(tmp_path, flows) as app:
        for number in range(5):
            await flows.create("acme", a_launch(f"f{number}"))
        await flows.create("rival", a_launch("theirs"))
        pages: list[list[str]] = []
        path: str | None = "/v1/flows?limit=2"
        async with app.client(flow_status) as client:
            while path:
                page = (await client.get(path)).json()
                pages.append([flow["id"] for flow in page["flows"]])
                path = page["next"]
    assert pages == [["f4", "f3"], ["f2", "f1"], ["f0"]]


async def test_a_list_is_as_private_as_a_state(app: App):
    async with app.client(flow_status) as client:
        answer = await client.get("/v1/flows")
    assert answer.json() == {"flows": [], "next": None}
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Authorization, Accept-Encoding"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=-1", "limit=1.0", "limit=", "limit=%20%35", "limit=%D9%A3",
     "before=x", "before=99999999999999999999"],
)  # fmt: skip
async def test_a_wrong_parameter_is_named(app: App, query: str):
    async with app.client(flow_status) as client:
        answer = await client.get(f"/v1/flows?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == f"/query/{query.partition('=')[0]}"


async def test_a_parameter_that_a_list_does_not_know_is_named(app: App):
    async with app.client(flow_status) as client:
        answer = await client.get("/v1/flows?limit=2&status=running&offset=3")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        "/query/status",
        "/query/offset",
    ]


class Replicas(MemoryFlows):
    """Heads and states as the replicas hold them that happen to answer; fresh reads see all."""

    def __init__(self) -> None:
        super().__init__()
        self.old_head: Head | None = None
        self.old_state: Flow | None = None

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        if self.old_head and not fresh:
            return self.old_head
        return await super().head(tenant, flow, fresh=fresh)

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> Flow:
        if self.old_state and not fresh:
            return self.old_state
        return await super().snapshot(tenant, flow, fresh=fresh)


@pytest.mark.parametrize("prefix", ["", "W/"])
@pytest.mark.parametrize("wait", [{}, {"prefer": "wait=1"}])
async def test_a_poll_never_goes_back_to_what_an_older_replica_holds(
    tmp_path: Path, prefix: str, wait: dict[str, str]
):
    replicas = Replicas()
    with opened(tmp_path, replicas) as app:
        await replicas.create("acme", a_launch("f1"))
        old = await replicas.snapshot("acme", "f1")
        await claim_first(replicas)
        known = (await polled(app)).headers["etag"]
        replicas.old_head, replicas.old_state = old.head, old
        async with app.client(flow_status) as client:
            headers = {"if-none-match": prefix + known, **wait}
            answer = await client.get("/v1/flows/f1", headers=headers)
        assert answer.status_code == 304
        assert answer.headers["etag"].removeprefix("W/") == known


async def test_a_state_older_than_the_callers_is_not_sent_although_the_head_is_newer(
    tmp_path: Path,
):
    replicas = Replicas()
    with opened(tmp_path, replicas) as app:
        await replicas.create("acme", a_launch("f1"))
        old = await replicas.snapshot("acme", "f1")
        await claim_first(replicas)
        known = (await polled(app)).headers["etag"]
        newest = await end(replicas)
        replicas.old_state = old
        assert (await polled(app, known)).status_code == 304
        async with app.client(flow_status) as client:  # with time to wait, the newest shows
            headers = {"if-none-match": known, "prefer": "wait=5"}
            answer = await client.get("/v1/flows/f1", headers=headers)
        assert answer.json()["version"] == newest.version


def test_a_head_is_known_by_its_own_tag_and_newer_ones_of_its_incarnation_alone():
    head = Head("0a1b2c3d", 9, 4, Status.RUNNING)
    for tag in ('"1.0a1b2c3d.4"', 'W/"1.0a1b2c3d.5"', '"x", "1.0a1b2c3d.40"'):
        assert head.known_as(tag) == tag.rpartition(" ")[2].removeprefix("W/")
    assert head.known_as("*") == head.etag
    for tag in ('"1.0a1b2c3d.3"', '"1.00000000.5"', '"2.0a1b2c3d.5"', "1.0a1b2c3d.5", "", '"'):
        assert head.known_as(tag) is None

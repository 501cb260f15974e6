"""Bodies that are worth it are coded for those who take it; tags and Vary tell the truth of it."""

import asyncio
import gzip
import secrets
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from core.blobs import BlobRef
from core.crews.ledger import StepWrite
from core.flows import Status, events
from functions import flow_events, flow_status
from functions._http import compression
from tests.e2e.apps import App, begin, end

STATE = "/v1/flows/f1"


async def got(app: App, path: str = STATE, method: str = "GET", **headers: str):
    """Ask as a client that unpacks nothing by itself; return the answer and its bytes."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    function = flow_events if "events" in path else flow_status
    async with (
        app.client(function) as client,
        client.stream(method, path, headers=given) as answer,
    ):
        return answer, b"".join([part async for part in answer.aiter_raw()])


async def test_a_state_is_coded_and_says_so(app: App):
    await begin(app.flows)
    plain, body = await got(app, accept_encoding="identity")
    coded, short = await got(app, accept_encoding="gzip")
    assert gzip.decompress(short) == body
    assert len(short) < len(body) / 2
    assert coded.headers["content-encoding"] == "gzip"
    assert coded.headers["content-length"] == str(len(short))
    assert coded.headers["etag"] == "W/" + plain.headers["etag"]
    assert "content-encoding" not in plain.headers
    for answer in (plain, coded):
        assert answer.headers.get_list("vary") == ["Authorization, Accept-Encoding"]


@pytest.mark.parametrize("asked", ["gzip", "identity"])
@pytest.mark.parametrize("known", ["{tag}", "W/{tag}", '"x", W/{tag}', "*"])
async def test_a_304_carries_the_headers_of_the_200_it_stands_for(app: App, asked: str, known: str):
    await begin(app.flows)
    full, _ = await got(app, accept_encoding=asked)
    tag = full.headers["etag"].removeprefix("W/")
    answer, body = await got(app, accept_encoding=asked, if_none_match=known.format(tag=tag))
    assert (answer.status_code, body) == (304, b"")
    for name in ("etag", "vary", "cache-control", "retry-after"):
        assert answer.headers[name] == full.headers[name]
    assert not {"content-encoding", "content-type"} & set(answer.headers)


@pytest.mark.parametrize("asked", ["gzip", "identity", "gzip, identity;q=0"])
@pytest.mark.parametrize("path", [STATE, "/v1/flows", "/v1/flows/f1/events?after=0"])
async def test_head_has_the_headers_of_get(app: App, asked: str, path: str):
    await begin(app.flows)
    given = {"accept_encoding": asked, "x_request_id": "r1"}
    full, _ = await got(app, path, **given)
    answer, body = await got(app, path, "HEAD", **given)
    assert body == b""
    assert dict(answer.headers) == dict(full.headers)


async def test_a_short_body_goes_as_it_is_unless_that_is_refused(app: App):
    plain, _ = await got(app, "/v1/flows", accept_encoding="gzip")
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "Authorization, Accept-Encoding"
    coded, body = await got(app, "/v1/flows", accept_encoding="gzip, identity;q=0")
    assert coded.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == b'{"flows":[],"next":null}'


async def test_a_long_body_is_coded_whole(app: App):
    claim = await begin(app.flows)
    said = events.custom("x", "many words " * 20_000)
    await app.flows.emit(claim, 1, 30_000, StepWrite(said))
    plain, body = await got(app, "/v1/flows/f1/events?after=0", accept_encoding="identity")
    _, short = await got(app, "/v1/flows/f1/events?after=0", accept_encoding="gzip")
    assert plain.status_code == 200
    assert gzip.decompress(short) == body


async def succeeded(app: App, size: int) -> bytes:
    """Have the flow end with an output of this size in the object store; return the bytes."""
    await begin(app.flows)
    output = b'"' + b"x" * (size - 2) + b'"'
    app.blobs.put("acme", "flows/f1/output", output, "application/json")
    finished, ref = events.run_finished("f1", 1), BlobRef("flows/f1/output", size)
    await app.flows.transition(
        "acme", "f1", Status.SUCCEEDED, status_epoch=0, events=finished, output=ref
    )
    return output


async def pieces(
    app: App, path: str, **headers: str
) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    """Return the headers of an answer and its body as the function sends it, piece by piece."""
    given = app.bearer() | {name.replace("_", "-"): value for name, value in headers.items()}
    sent = list[Any]()

    async def receive() -> Any:
        await asyncio.Event().wait()  # nobody hangs up

    async def send(message: Any) -> None:
        sent.append(message)

    lines = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": lines}
    await flow_status.app(scope, receive, send)
    return sent[0]["headers"], [message["body"] for message in sent[1:]]


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity;q=0"])
async def test_an_output_that_is_read_piece_by_piece_is_sent_so(app: App, coding: str):
    output = await succeeded(app, 3 * 1024**2)
    headers, sent = await pieces(app, "/v1/flows/f1/output", accept_encoding=coding)
    assert b"".join(sent) == output
    assert max(map(len, sent)) <= flow_status.CHUNK_BYTES
    assert b"content-encoding" not in dict(headers)
    assert dict(headers)[b"content-length"] == b"%d" % len(output)


@pytest.mark.parametrize(("size", "coding"), [(900_000, "gzip"), (1_200_000, None)])
async def test_a_body_is_coded_up_to_a_size(app: App, size: int, coding: str | None):
    await begin(app.flows)
    finished, output = events.run_finished("f1", 1), "y" * size
    await app.flows.transition(
        "acme", "f1", Status.SUCCEEDED, status_epoch=0, events=finished, output=output
    )
    answer, _ = await got(app, "/v1/flows/f1/output", accept_encoding="gzip")
    assert answer.headers.get("content-encoding") == coding
    assert "Accept-Encoding" in answer.headers["vary"]


async def test_a_stream_is_never_coded(app: App):
    await begin(app.flows)
    await end(app.flows)
    answer, body = await got(app, "/v1/flows/f1/events", accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "identity"
    assert body.startswith(b"retry: ")


async def test_a_problem_is_not_coded(app: App):
    answer, _ = await got(app, "/v1/flows/none", accept_encoding="gzip, identity;q=0")
    assert answer.status_code == 404
    assert "content-encoding" not in answer.headers


async def test_several_lines_are_one_list(app: App):
    await begin(app.flows)
    lines = [("accept-encoding", "deflate"), ("accept-encoding", "gzip")]
    async with app.client(flow_status) as client:
        del client.headers["accept-encoding"]
        answer: httpx.Response = await client.get(STATE, headers=lines)
    assert answer.headers["content-encoding"] == "gzip"


async def test_what_many_ask_for_in_a_row_is_coded_once(monkeypatch: pytest.MonkeyPatch):
    coded = list[int]()

    def counted(body: bytes) -> bytes:
        coded.append(len(body))
        return gzip.compress(body)

    monkeypatch.setitem(compression.CODERS, "gzip", counted)
    body = secrets.token_hex(500)
    app = compression.Compressed(JSONResponse(body))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        answers = [await client.get("/", headers={"accept-encoding": "gzip"}) for _ in range(3)]
    assert [answer.json() for answer in answers] == [body] * 3
    assert len(coded) == 1

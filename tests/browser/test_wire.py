"""What the client makes of the bytes it is sent."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from tests.browser.conftest import Tab, Viewer

pytestmark = pytest.mark.asyncio(loop_scope="session")

FLOW = "f1"

# Follow what a `fetch` of the test's own answers: these chunks of a stream and then nothing, and to
# who asks for a page these `pages`. Each has an API of its own, or all would share one connection.
FED = """async ([name, chunks, pages]) => {
  const body = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new Uint8Array(chunk));
      controller.close();
    },
  });
  const headers = { "content-type": "text/event-stream" };
  const asked = [];
  const paged = [];
  const fetch = async (url, request) => {
    const [, after] = /after=(.*)/.exec(url) ?? [];
    if (after) {
      paged.push(after);
      return Response.json(pages.shift() ?? { events: [], cursor: "0a.0", status: "running" });
    }
    asked.push(request.headers);
    return asked.length > 1 ? new Promise(() => {}) : new Response(body, { headers });
  };
  watch(name, { fetch });
  while (asked.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
  following[name].stop();
  return { ...seen[name], state: seen[name].states.at(-1), asked, paged };
}"""


async def fed(tab: Tab, chunks: Sequence[bytes], pages: Sequence[dict] = ()) -> dict:
    name = f"api{abs(hash(tuple(chunks)))}/{FLOW}"
    return await tab.page.evaluate(FED, [name, [list(chunk) for chunk in chunks], list(pages)])


def told(number: int, event: dict, line_end: str = "\n") -> str:
    return f"id: 0a.{number}{line_end}data: {json.dumps(named(event))}{line_end}{line_end}"


def named(event: dict) -> dict:
    return {"flow": FLOW, "event": event}


CUSTOM = [{"type": "CUSTOM", "value": text} for text in ("one", "zwei ü 本 \U0001f600", "<b>")]


def variants() -> dict[str, bytes]:
    plain = [told(number, event) for number, event in enumerate(CUSTOM, 1)]
    pretty = [
        f"id: 0a.{number}\n"
        + "".join(f"data: {line}\n" for line in json.dumps(named(event), indent=1).split("\n"))
        + "\n"
        for number, event in enumerate(CUSTOM, 1)
    ]
    lines = {
        end: "".join(told(n, event, end) for n, event in enumerate(CUSTOM, 1))
        for end in ("\r", "\r\n")
    }
    noise = ":\n\n", ": a comment\n\n", "event: other\nnothing\n\n", "retry: soon\n\n", "\n\n\n"
    texts = {
        "LF": "".join(plain),
        "CR": lines["\r"],
        "CRLF": lines["\r\n"],
        "a byte order mark": "\ufeff" + "".join(plain),
        "several lines of data": "".join(pretty),
        "no space after the colon": "".join(plain).replace(": ", ":", 1),
        "comments, blanks and unknown fields": "".join(
            map("".join, zip(noise, [*plain, "", ""], strict=True))
        ),
        "an id with NUL": "".join(plain).replace("data:", "id: 9\0\ndata:"),
        "an event that was cut": "".join(plain) + 'id: 0a.4\ndata: {"flow":"f1"}\n',
        "an event told twice": plain[0] + "".join(plain),
    }
    return {name: text.encode() for name, text in texts.items()}


@pytest.mark.parametrize("name", variants())
async def test_a_stream_is_read_alike_however_it_is_written_and_cut_up(viewer: Viewer, name: str):
    wire = variants()[name]
    tab = await viewer.tab()
    sizes = (1, 2, 3, 7, len(wire))
    cut_up = [[wire[at : at + size] for at in range(0, len(wire), size)] for size in sizes]
    for seen in await asyncio.gather(*(fed(tab, chunks) for chunks in cut_up)):
        assert seen["events"] == CUSTOM
        assert seen["ids"] == ["0a.1", "0a.2", "0a.3"]
        assert seen["asked"][1]["last-event-id"] == "0a.3"


STATE = {"version": 1, "steps": [{"id": "a"}, {"id": "b"}], "usage": {"calls": 1}, "a/b~c": 0}


@pytest.mark.parametrize(
    ("delta", "state"),
    [
        ([("replace", "/version", 2)], STATE | {"version": 2}),
        ([("replace", "/usage/calls", 2)], STATE | {"usage": {"calls": 2}}),
        ([("add", "/output", {"x": [1]})], STATE | {"output": {"x": [1]}}),
        ([("add", "/output", None)], STATE | {"output": None}),
        ([("replace", "/steps/1", 3)], STATE | {"steps": [{"id": "a"}, 3]}),
        ([("add", "/steps/1", 3)], STATE | {"steps": [{"id": "a"}, 3, {"id": "b"}]}),
        ([("add", "/steps/-", 3)], STATE | {"steps": [{"id": "a"}, {"id": "b"}, 3]}),
        ([("remove", "/steps/0", ...)], STATE | {"steps": [{"id": "b"}]}),
        ([("remove", "/usage/calls", ...)], STATE | {"usage": {}}),
        ([("replace", "/a~1b~0c", 1)], STATE | {"a/b~c": 1}),
        ([("replace", "", {"version": 3})], {"version": 3}),
        (
            [("remove", "/steps/0", ...), ("add", "/steps/0/x", 1)],
            STATE | {"steps": [{"id": "b", "x": 1}]},
        ),
    ],
)
async def test_a_state_is_its_snapshot_and_the_deltas_since(
    viewer: Viewer, delta: list[tuple], state: dict
):
    patch = [
        {"op": op, "path": path} | ({} if value is ... else {"value": value})
        for op, path, value in delta
    ]
    wire = told(1, {"type": "STATE_SNAPSHOT", "snapshot": STATE})
    wire += told(2, {"type": "STATE_DELTA", "delta": patch})
    seen = await fed(await viewer.tab(), [wire.encode()])
    assert seen["state"] == state
    assert seen["events"][0]["snapshot"] == STATE


async def test_a_state_that_was_handed_on_is_never_changed_later(viewer: Viewer):
    deltas = [
        told(
            n, {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/version", "value": n}]}
        )
        for n in (2, 3)
    ]
    wire = [told(1, {"type": "STATE_SNAPSHOT", "snapshot": STATE}), *deltas]
    seen = await fed(await viewer.tab(), [frame.encode() for frame in wire])
    assert [state["version"] for state in seen["states"]] == [1, 2, 3]


async def test_an_event_that_is_missing_is_asked_for_and_nothing_is_handed_on_before_it(
    viewer: Viewer,
):
    wire = told(1, CUSTOM[0]) + told(3, CUSTOM[2])
    page = {"events": CUSTOM[1:], "cursor": "0a.3", "status": "running"}
    seen = await fed(await viewer.tab(), [wire.encode()], [page])
    assert seen["paged"] == ["0a.1"]
    assert seen["ids"] == ["0a.1", "0a.2", "0a.3"]
    assert seen["events"] == CUSTOM

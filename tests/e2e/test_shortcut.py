"""What the shortcut for unchanged polls answers, the routes would answer to the letter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.adapters.memory import MemoryFlows
from core.errors import UnavailableError
from core.flows import Head
from core.identity import CREWS_READ, FLOWS_READ
from functions import flow_status
from functions._http import compression
from tests.e2e.apps import App, begin, opened

PAST_IT = {"prefer": "handling=lenient"}  # the shortcut leaves any preference to the routes
KNOWN = {"if-none-match": "*"}
ORIGINS = ("https://app.example",)


class Away(MemoryFlows):
    """Flows of which one cannot be read, and another makes a fault of ours appear."""

    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:
        if flow == "away":
            raise UnavailableError("the store does not answer", 7)
        if flow == "fault":
            raise ZeroDivisionError
        return await super().head(tenant, flow, fresh=fresh)


@pytest.fixture(params=["", "/api"])
def base(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def app(tmp_path: Path, base: str) -> Iterator[App]:
    with opened(tmp_path, Away(), base_path=base, cors_origins=ORIGINS) as app:
        yield app


async def answer(app: App, path: str, headers: dict[str, str], **who: Any) -> httpx.Response:
    transport = httpx.ASGITransport(flow_status.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers=app.bearer(**who) | headers)


def told(answer: httpx.Response) -> Any:
    lines = sorted(answer.headers.raw)
    return answer.status_code, lines, answer.content


@pytest.mark.parametrize("flow", ["f1", "none", "away", "fault"])
@pytest.mark.parametrize(
    "headers",
    [
        KNOWN,
        KNOWN | {"accept-encoding": "gzip, br"},
        KNOWN | {"accept-encoding": "gzip;q=0"},
        {"if-none-match": '"other", W/"1.00000000.1"'},
        {"if-none-match": "*" + "," * 33_000},  # more than a head may have
        KNOWN | {"x-" + "a" * n: "b" for n in range(300)},
        KNOWN | {"authorization": "Bearer nobody"},
        KNOWN | {"authorization": "Basic abc"},
    ],
    ids=["plain", "coded", "uncoded", "changed", "long", "many", "forged", "no bearer"],
)
async def test_the_answer_is_that_of_the_routes(
    app: App, base: str, flow: str, headers: dict[str, str]
):
    await begin(app.flows)
    for request_id in ("ab-1", "a b"):
        named = {"x-request-id": request_id} | headers
        path = f"{base}/v1/flows/{flow}"
        short = await answer(app, path, named)
        long = await answer(app, path, named | PAST_IT)
        if request_id == "a b":  # each has drawn one, or none
            for one in (short, long):
                one.headers.pop("x-request-id", None)
        assert told(short) == told(long)


@pytest.mark.parametrize("scopes", [[FLOWS_READ], [CREWS_READ], []])
async def test_a_scope_counts_as_much(app: App, base: str, scopes: list[str]):
    await begin(app.flows)
    path, sent = f"{base}/v1/flows/f1", KNOWN | {"x-request-id": "ab-1"}
    short = await answer(app, path, sent, scopes=scopes)
    long = await answer(app, path, sent | PAST_IT, scopes=scopes)
    assert told(short) == told(long)
    assert short.status_code == (304 if FLOWS_READ in scopes else 403)


async def test_a_plain_poll_passes_nothing_that_a_304_does_not_need(
    app: App, base: str, monkeypatch: pytest.MonkeyPatch
):
    await begin(app.flows)
    monkeypatch.delattr(compression.Compressed, "__call__")  # the routes cannot be reached
    assert (await answer(app, f"{base}/v1/flows/f1", KNOWN)).status_code == 304

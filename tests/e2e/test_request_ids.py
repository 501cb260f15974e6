"""Requests have ids, which their answers and the lines logged meanwhile have too."""

import json
import logging
from pathlib import Path

import pytest

from core import logs
from core.adapters.memory import MemoryFlows
from core.flows import Head
from functions import crew_launch, flow_status
from tests.e2e.apps import begin, gateway_event, opened


class Broken(MemoryFlows):
    async def head(self, tenant: str, flow: str, *, fresh: bool = False) -> Head:  # noqa: ARG002
        raise ZeroDivisionError

    async def snapshot(self, tenant: str, flow: str, *, fresh: bool = False) -> None:  # noqa: ARG002  # pyright: ignore[reportIncompatibleMethodOverride]
        raise ZeroDivisionError


async def test_an_answer_has_the_id_that_was_sent_or_one_of_its_own(tmp_path: Path):
    with opened(tmp_path) as app:
        await begin(app.flows)
        async with app.client(flow_status) as client:
            for path in ("/v1/flows/f1", "/v1/flows/none", "/health"):
                sent = await client.get(path, headers={"x-request-id": "ab-1"})
                assert sent.headers["x-request-id"] == "ab-1"
                made = [await client.get(path) for _ in range(2)]
                made += [await client.get(path, headers={"x-request-id": "a b"})]
                ids = {answer.headers["x-request-id"] for answer in made}
                assert len(ids - {"a b"}) == 3


async def test_a_304_repeats_the_id_that_was_sent_and_has_none_otherwise(tmp_path: Path):
    with opened(tmp_path) as app:
        await begin(app.flows)
        async with app.client(flow_status) as client:
            poll = {"if-none-match": (await client.get("/v1/flows/f1")).headers["etag"]}
            plain = await client.get("/v1/flows/f1", headers=poll)
            named = await client.get("/v1/flows/f1", headers=poll | {"x-request-id": "ab-1"})
    assert (plain.status_code, named.status_code) == (304, 304)
    assert "x-request-id" not in plain.headers
    assert named.headers["x-request-id"] == "ab-1"


def test_on_lambda_the_id_is_that_of_the_invocation(tmp_path: Path):
    class Context:
        aws_request_id = "inv-1"

        def get_remaining_time_in_millis(self) -> int:
            return 9000

    with opened(tmp_path) as app:
        event = gateway_event("GET", "/v1/flows", app.bearer())
        assert flow_status.handler(event, Context())["headers"]["x-request-id"] == "inv-1"


async def test_what_is_logged_meanwhile_names_request_and_tenant(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.handler.setFormatter(logs.JsonFormatter())
    with opened(tmp_path, Broken()) as app:
        async with app.client(flow_status) as client:
            answer = await client.get("/v1/flows/f1?x=s3cret", headers={"x-request-id": "ab-1"})
    assert answer.status_code == 500
    line = next(json.loads(line) for line in caplog.text.splitlines() if '"path"' in line)
    assert (line["request_id"], line["tenant"], line["path"]) == ("ab-1", "acme", "/v1/flows/f1")
    assert "s3cret" not in caplog.text


async def test_a_launch_is_logged_with_its_request_and_its_flow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    caplog.handler.setFormatter(logs.JsonFormatter())
    with opened(tmp_path) as app:
        async with app.client(crew_launch) as client:
            answers = [
                await client.post(
                    "/v1/flows",
                    json={"crew": "haiku", "inputs": {"topic": "s3cret"}},
                    headers={"x-request-id": "ab-1", "idempotency-key": "k"},
                )
                for _ in range(2)
            ]
    assert [answer.status_code for answer in answers] == [202, 202]
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    (line,) = [line for line in lines if line["message"] == "launched"]
    flow = answers[0].json()["id"]
    assert (line["request_id"], line["tenant"], line["flow"]) == ("ab-1", "acme", flow)
    assert "s3cret" not in caplog.text

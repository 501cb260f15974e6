"""A step that is put off: whoever polls its flow reads why, and when it goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.crews.ledger import Claim, StepWrite
from core.flows import Status
from functions import crew_amp, flow_status
from tests.e2e.apps import App, opened
from tests.fixtures_ports import in_memory
from tests.webhook_parts import Story

WHY = "the model's provider answered 429: too many requests"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path) as app:
        yield app


async def test_the_state_and_amps_status_say_why_and_until_when(app: App):
    story = Story(in_memory(app.flows, "acme"))
    await story.launched(None)
    [step, *_] = (await app.flows.state("acme", "f1")).steps
    claim = await app.flows.claim("acme", "f1", step, owner="w", lease_ms=9_000, events=[])
    assert isinstance(claim, Claim)
    await app.flows.release(claim, 1, StepWrite(), delay_ms=30_000, reason=WHY)
    async with app.client(flow_status) as client:
        state = (await client.get("/v1/flows/f1")).json()
    waiting = state["steps"][0]["waiting"]
    assert waiting == {"reason": WHY, "until_ms": waiting["until_ms"]}
    assert 0 <= waiting["until_ms"] - state["updated_ms"] - 30_000 <= 1
    async with app.client(crew_amp) as client:
        status = (await client.get("/amp/haiku/status/f1")).json()
    assert status["put_off"] == [{"task_id": "find", "step": "find", **waiting}]
    await app.flows.transition("acme", "f1", Status.CANCELLED, status_epoch=0, events=[])
    async with app.client(crew_amp) as client:
        assert "put_off" not in (await client.get("/amp/haiku/status/f1")).json()

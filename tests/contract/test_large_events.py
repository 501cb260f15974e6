"""Steps that say very much, to a store that takes requests of a megabyte."""

import asyncio
import json
from typing import Any

import pytest
from ag_ui_validate.pytest_plugin import assert_valid_agui

from core.adapters.upstash.http import HttpRedis
from core.crews import strategies
from core.crews.clock import NoLimit
from core.crews.crew_runner import Session, StepFailedError, StepTask
from core.crews.launch import time_limit_ms
from core.crews.outcomes import Outcome
from core.flows import Status, events
from tests.fixtures_ports import Flows, a_launch, over_redis, own_keys, whole_log
from tests.fixtures_servers import Rest
from tests.large_values import TIMING
from tests.worker_parts import BOUND, CALL, Script, Scripted, a_crew
from tests.workers import worker_over

MAX_REQUEST_BYTES = 1_000_000
CJK = "\u4e2d\u6587\u5b57" * 500_000  # 4.5 MB


@pytest.fixture
def flows(gateway: Rest) -> Flows:
    return over_redis(
        HttpRedis(gateway.url, gateway.token),
        gateway.url,
        gateway.token,
        keys=own_keys(),
        max_request_bytes=MAX_REQUEST_BYTES,
    )


async def ran(flows: Flows, one: Script, *names: str) -> None:
    """Run flows by one worker, whose step one does this in the first of them."""
    first = names[0]

    def in_the_first(work: StepTask, session: Session) -> Any:
        return one(work, session) if work.flow == first else None

    runner, crew = Scripted(one=in_the_first), a_crew()
    worker = worker_over(flows.ledger, flows.calls, flows.wake_queue, runner, TIMING)
    for name in names:
        launch = a_launch(
            name, crew=crew.name, definition=crew.model_dump(mode="json"), inputs={},
            definition_digest=crew.digest(), steps=strategies.initial_steps(crew),
            time_limit_ms=time_limit_ms(crew),
        )  # fmt: skip
        await flows.ledger.create(flows.tenant, launch)
        assert await worker.run_flow(flows.tenant, name, NoLimit()) is Outcome.ENDED


async def log_of(flows: Flows, flow: str = "f1") -> list[dict[str, Any]]:
    return [json.loads(entry.json) for entry in await whole_log(flows, flow)]


async def ended(flows: Flows, flow: str = "f1") -> tuple[Status, str | None]:
    state = await flows.ledger.state(flows.tenant, flow, fresh=True)
    return state.head.status, state.error


def streams(_work: StepTask, session: Session) -> None:
    """Say it in many pieces, all at once."""
    session.post(events.text_start("m"))
    for at in range(0, len(CJK), 1000):
        session.post(events.text_content("m", CJK[at : at + 1000]))
    session.post(events.text_end("m"))


def says_at_once(_work: StepTask, session: Session) -> None:
    session.post(events.text_message("m", CJK))


async def settles(_work: StepTask, session: Session) -> None:
    """Say it in the answer of a call, with which the price comes."""
    call = await asyncio.to_thread(session.reserve, "m", BOUND)
    session.settle(call, CALL, events.text_message("m", CJK))


def says_many_things(_work: StepTask, session: Session) -> None:
    for number in range(400):
        session.post(events.tool_call(f"c{number}", "tool", '{"a": 1}'))
        session.post(events.tool_result(f"c{number}", CJK[:2_000]))
    session.post(events.text_message("m", CJK))


@pytest.mark.parametrize("script", [streams, says_at_once, settles, says_many_things])
async def test_a_text_however_long_is_told_whole_in_events_that_are_small(
    script: Script, flows: Flows
):
    await ran(flows, script, "f1")
    assert await ended(flows) == (Status.SUCCEEDED, None)
    log = await log_of(flows)
    pieces = [event["delta"] for event in log if event["type"] == "TEXT_MESSAGE_CONTENT"]
    assert "".join(pieces) == CJK
    assert max(len(json.dumps(event, ensure_ascii=False)) for event in log) < 33_000
    assert_valid_agui(log, features=["shared-state"], max_warnings=0)
    calls = (await flows.ledger.state(flows.tenant, "f1")).usage.calls
    assert calls == (4 if script is settles else 3)


def tells_too_much(_work: StepTask, session: Session) -> None:
    session.post(events.custom("x", "y" * 3_000_000))


def fails_with_too_much(_work: StepTask, _session: Session) -> None:
    raise StepFailedError("y" * 3_000_000)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (tells_too_much, "what the step emits is 3,000,"),
        (fails_with_too_much, "one: " + "y" * 2_000 + "… (2,998,000 characters more)"),
    ],
)
async def test_what_cannot_be_cut_fails_its_flow_in_words_and_its_worker_goes_on(
    script: Script, why: str, flows: Flows
):
    await ran(flows, script, "f1", "f2")
    status, error = await ended(flows)
    assert status is Status.FAILED
    assert why in str(error)
    assert len(str(error)) < 2_200
    log = await log_of(flows)
    assert (log[-1]["type"], log[-1]["code"]) == ("RUN_ERROR", "step")
    assert await ended(flows, "f2") == (Status.SUCCEEDED, None)

"""CrewAI's own client of AMP, as it is published, against the API in a process of its own."""

import asyncio
import os
from pathlib import Path

import pytest

from core.adapters.crewai.environ import prepare_environ
from core.flows import Status, events
from tests.fixtures_api import Api
from tests.fixtures_ports import Flows

prepare_environ(os.environ, str(Path.home()))

from crewai_tools import InvokeCrewAIAutomationTool  # noqa: E402 -- the environment comes first

INPUTS = {"question": "Should the ferry stay?", "notes": "It carried 4,120 passengers."}


def tool(api: Api, tenant: str, patience_seconds: int = 20) -> InvokeCrewAIAutomationTool:
    return InvokeCrewAIAutomationTool(
        crew_api_url=f"{api.url}/amp/research_brief",
        crew_bearer_token=api.auth(tenant)["authorization"].removeprefix("Bearer "),
        crew_name="Research brief",
        crew_description="Answers a question from notes.",
        max_polling_time=patience_seconds,
    )


async def ended(flows: Flows, to: Status, **outcome: str) -> None:
    """End the one flow of the tenant, once it is there, as a worker does."""
    async with asyncio.timeout(10):
        while not (found := await flows.log.recent(flows.tenant, 1)):  # noqa: ASYNC110 -- another process launches it
            await asyncio.sleep(0.05)
    state = await flows.ledger.state(flows.tenant, found[0].id)
    last = (
        events.run_error(outcome["error"], "step")
        if "error" in outcome
        else events.run_finished(state.id, outcome["output"])
    )
    await flows.ledger.transition(
        flows.tenant, state.id, to, status_epoch=state.status_epoch, events=last, **outcome
    )


async def used(api: Api, flows: Flows, to: Status, **outcome: str) -> str:
    said, _ = await asyncio.gather(
        asyncio.to_thread(tool(api, flows.tenant)._run, **INPUTS), ended(flows, to, **outcome)
    )
    return said


async def test_it_returns_the_result_of_a_crew_that_succeeded(api: Api, flows: Flows):
    assert await used(api, flows, Status.SUCCEEDED, output="Keep it.") == "Keep it."


async def test_it_notices_that_a_crew_failed(api: Api, flows: Flows):
    said = await used(api, flows, Status.FAILED, error="the model is away")
    assert said.startswith("Error: Crew task failed")
    assert "the model is away" in said


async def test_it_goes_on_asking_while_a_crew_runs(api: Api, flows: Flows):
    said = await asyncio.to_thread(tool(api, flows.tenant, patience_seconds=2)._run, **INPUTS)
    assert said == "Error: Crew did not complete within 2 seconds"


@pytest.mark.parametrize("inputs", [{}, {"question": 7}])
async def test_a_kickoff_that_does_not_fit_is_told_by_it(
    api: Api, flows: Flows, inputs: dict[str, object]
):
    said = await asyncio.to_thread(tool(api, flows.tenant)._run, **inputs)
    assert said.startswith("Error: Failed to kickoff crew")
    assert "/inputs" in said

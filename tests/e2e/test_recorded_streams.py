"""Every example crew, run for real on the offline model, tells a log that AG-UI finds in order."""

import json
from pathlib import Path
from typing import Any

import pytest
from ag_ui_validate.pytest_plugin import assert_valid_agui

from core.adapters.memory import MemoryBlobs, MemoryCallLedger, MemoryFlows
from core.crews import launch
from core.crews.clock import NoLimit
from core.crews.control import FlowControl
from core.crews.definition import Registry
from core.crews.timing import Timing
from core.flows import Status
from crews.tools import GUARDRAILS, SKILLS, TOOLS
from tests.crewai_parts import CataloguePriceBook, CrewAIRunner

from core.adapters.offline.model import OfflineModel  # isort: skip -- the environment comes first
from tests.workers import worker_over

CREWS = Registry(Path("crews"))
FILE = "in_" + "1" * 32
BRIEF = json.loads(Path("crews/research_brief/examples/ferry.json").read_text())
EXAMPLE = Path("crews/import_mapping/examples/nl_bag.csv")


def inputs_of(crew: str) -> dict[str, Any]:
    return {"file": FILE} if crew.startswith("import_mapping") else BRIEF


async def recorded(crew: str) -> list[dict[str, Any]]:
    """Run a crew to its end; a person who is asked sends the first draft back."""
    flows, blobs = MemoryFlows(), MemoryBlobs()
    blobs.put("t", FILE, EXAMPLE.read_bytes(), "text/csv")
    runner = CrewAIRunner(
        lambda: OfflineModel(SKILLS, stream=True), TOOLS, GUARDRAILS, CataloguePriceBook(), blobs
    )
    calls = MemoryCallLedger(flows)
    worker = worker_over(flows, calls, flows, runner, Timing(30, 10, 60))
    launcher = launch.Launcher(flows, flows, CREWS, lambda: blobs, now_ms=lambda: 1)
    flow, _ = await launcher.launch("t", launch.LaunchRequest(crew, inputs_of(crew)), None)
    await worker.run_flow("t", flow, NoLimit())
    for approve in (False, True):
        if (waiting := (await flows.state("t", flow)).waiting) is not None:
            said: dict[str, Any] = {"approve": approve, "review": waiting["review"]}
            await FlowControl(flows, flows).resume(
                tenant="t", flow=flow, feedback="Say when.", **said
            )
            await worker.run_flow("t", flow, NoLimit())
    state = await flows.state("t", flow)
    assert (state.head.status, state.error) == (Status.SUCCEEDED, None)
    assert state.usage.lost_calls == 0 < state.usage.calls
    return [json.loads(entry.json) for entry in await flows.entries("t", flow, 0, 10_000)]


@pytest.mark.parametrize("crew", CREWS.names())
async def test_the_log_of_an_example_crew_is_valid_without_a_warning(crew: str):
    log = await recorded(crew)
    assert_valid_agui(log, features=["shared-state"], max_warnings=0)
    kinds = {event["type"] for event in log}
    assert {"TEXT_MESSAGE_CONTENT", "STATE_DELTA"} <= kinds
    names = {event.get("name") for event in log}
    assert ("delegation" in names) == crew.endswith("hierarchical")
    assert ({"waiting", "resumed"} <= names) == crew.endswith("approved")


async def test_a_tool_tells_the_user_what_it_found_before_the_step_is_done():
    log = await recorded("import_mapping")
    names = [event.get("name", event["type"]) for event in log]
    assert names.index("agent_insight") < names.index("TOOL_CALL_RESULT")
    insight = log[names.index("agent_insight")]["value"]
    assert (insight["step"], insight["agent"]) == ("profile", "Data profiler")
    assert insight["text"].startswith("The file holds ")


async def test_the_brief_says_what_the_notes_say_and_nothing_else():
    log = await recorded("research_brief")
    notes = BRIEF["notes"]
    said = log[-1]["result"].removeprefix(
        "The offline model (crewline/offline) quotes, it does not write: "
    )
    sentences = said.replace(". ", ".\n").splitlines()
    assert 1 <= len(sentences) <= 3
    assert all(sentence in notes for sentence in sentences)
    assert "winter ferry" in said
    assert "lighthouse" not in said

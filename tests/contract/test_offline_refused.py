"""The offline model whose answer was refused: it does not quote the refusal to get through."""

from typing import Any

import pytest

from core.crews.crew_runner import StepFailedError
from tests.crewai_parts import a_crew, a_harness, a_step

from core.adapters.offline.model import OfflineModel  # isort: skip -- CrewAI's environment is first
from core.adapters.offline.quotes import SIGNATURE  # isort: skip


def says_tickets(output: Any, _inputs: dict[str, Any]) -> str | None:
    return None if "tickets" in str(output) else "say that the ferry has tickets, the ferry tickets"


@pytest.mark.parametrize("told", [{}, {"one": "The ferry is white. It sails."}])
async def test_a_refused_answer_does_not_pass_by_quoting_why(told: dict[str, str]):
    harness = a_harness(llm=OfflineModel, guardrails={"tickets": says_tickets})
    crew = a_crew(one={}, two={"description": "Tell of the ferry.", "guardrails": ["tickets"]})
    with pytest.raises(StepFailedError, match=r"^a guardrail refused the answer: say that the"):
        await harness.run(a_step(crew, "two", **told))
    assert len(harness.usages) == 3
    said = "".join(harness.texts()).split(SIGNATURE)
    assert len(set(said[1:])) == 1
    assert ("The ferry is white." in said[1]) == bool(told)


async def test_what_is_told_passes_for_what_it_is():
    harness = a_harness(llm=OfflineModel, guardrails={"tickets": says_tickets})
    crew = a_crew(one={}, two={"description": "Tell of the ferry.", "guardrails": ["tickets"]})
    answer = (await harness.run(a_step(crew, "two", one="The ferry has tickets.")))["raw"]
    assert answer.endswith("The ferry has tickets.")

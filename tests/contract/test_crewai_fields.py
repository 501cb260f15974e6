"""Every field that CrewAI has is one of a crew.yaml, or there is a word on what to write instead."""

from typing import Any

import pytest
from crewai import Agent, Crew, Task
from crewai.project.crew_base import AgentConfig, TaskConfig

from core.crews.definition import Definition, elements
from infra.crews import crewai_fields

# What CrewAI keeps in its objects while they work, and nobody writes down.
OF_A_RUN = {
    "agent_executor", "checkpoint_inputs", "checkpoint_kickoff_event_id", "checkpoint_original_description",
    "checkpoint_original_expected_output", "checkpoint_train", "crew", "delegations", "end_time",
    "entity_type", "execution_context", "execution_logs", "executor_class", "id", "output",
    "processed_by_agents", "prompt_context", "retry_count", "security_config", "start_time",
    "task_execution_output_json_files", "token_usage", "tools_errors", "tools_handler", "tools_results",
    "usage_metrics", "used_tools",
}  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "ours", "hints"),
    [
        ({*Agent.model_fields, *AgentConfig.__annotations__}, elements.Agent, crewai_fields.AGENT),
        ({*Task.model_fields, *TaskConfig.__annotations__}, elements.Task, crewai_fields.TASK),
        ({*Crew.model_fields}, Definition, crewai_fields.CREW),
    ],
)
def test_each_field_of_crewai_is_known_or_has_a_hint(theirs: set[str], ours: Any, hints: Any):
    fields = {*ours.model_fields}
    assert theirs - OF_A_RUN - fields - {*hints} == set()
    assert {*hints} <= theirs - OF_A_RUN - fields

"""Prompts: a step's texts as CrewAI gets them, with every brace that is no placeholder intact."""

import json
import re
from typing import Any

from crewai.agents.agent_executor import AgentExecutor
from crewai.flow.flow_definition import FlowDefinition
from crewai.tasks.task_output import TaskOutput
from crewai.utilities.formatter import DIVIDERS, aggregate_raw_outputs_from_task_outputs

from core.adapters.crewai import answers
from core.crews import strategies
from core.crews.definition import PLACEHOLDER
from core.crews.run import StepWork

_SLOT = re.compile(r"\{(input|tool_names|tools)\}")


class SinglePassExecutor(AgentExecutor):
    """CrewAI's executor, but what a task's text holds is never taken for a slot of the prompt."""

    @classmethod
    def flow_definition(cls) -> FlowDefinition:
        """Return the definition of CrewAI's executor: its steps are not found in a subclass."""
        return AgentExecutor.flow_definition()

    @staticmethod
    def _format_prompt(prompt: str, inputs: dict[str, str]) -> str:
        return _SLOT.sub(lambda slot: inputs[slot[1]], prompt)


def description(work: StepWork) -> str:
    """Return the task's description with the inputs filled in: strings as they are, else JSON."""
    known = {**work.definition.inputs.get("properties", {}), **work.inputs}

    def value(placeholder: re.Match[str]) -> str:
        name = placeholder[1]
        return _text(work.inputs.get(name)) if name in known else placeholder[0]

    return PLACEHOLDER.sub(value, work.definition.tasks[work.step].description)


def expected_output(work: StepWork) -> str:
    """Return what is expected, and the form of it where the task has an output_schema."""
    task = work.definition.tasks[work.step]
    if task.output_schema is None:
        return task.expected_output
    return f"{task.expected_output}\n{answers.instructions(task.output_schema)}"


def context(work: StepWork) -> str:
    """Return the outputs of the tasks this one is told of, put together as a Crew does."""
    return aggregate_raw_outputs_from_task_outputs(
        [_output(work, name) for name in strategies.context(work.definition, work.step)]
    )


def with_complaint(context: str, answer: str, complaint: str) -> str:
    """Return the context with an earlier answer and what is wrong with it."""
    told = f"Your previous answer was not valid: {complaint}\n\nYour previous answer:\n{answer}"
    return DIVIDERS.join(part for part in (context, told) if part)


def _output(work: StepWork, name: str) -> TaskOutput:
    task = work.definition.tasks[name]
    return TaskOutput(
        name=name,
        description=task.description,
        raw=work.results[name]["raw"],
        agent=work.definition.agents[task.agent].role,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

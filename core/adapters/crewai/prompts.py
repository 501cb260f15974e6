"""Prompts: their texts as CrewAI gets them, with every brace that is no slot intact."""

from crewai.tasks.task_output import TaskOutput
from crewai.utilities.formatter import DIVIDERS, aggregate_raw_outputs_from_task_outputs

from core.adapters.crewai import answers
from core.adapters.crewai.asked import LESSONS, REFUSED
from core.crews.crew_runner import ContextItem, Lesson, Prompt, StepTask


def expected_output(prompt: Prompt) -> str:
    """Return what is expected, and the form of it where there is an output_schema."""
    if prompt.output_schema is None:
        return prompt.expected_output
    return f"{prompt.expected_output}\n{answers.instructions(prompt.output_schema)}"


def context(work: StepTask) -> str:
    """Return what the agent is told: earlier answers, put together as a Crew does, and lessons."""
    told = aggregate_raw_outputs_from_task_outputs([_output(t) for t in work.prompt.context])
    return _together(told, _lessons(work.lessons))


def with_complaint(context: str, answer: str, complaint: str) -> str:
    """Return the context with an earlier answer and what is wrong with it."""
    told = f"{REFUSED} {complaint}\n\nYour previous answer:\n{answer}"
    return _together(context, told)


def _lessons(lessons: tuple[Lesson, ...]) -> str:
    return "\n".join([LESSONS, *(f"- {lesson.text}" for lesson in lessons)]) if lessons else ""


def _together(*parts: str) -> str:
    return DIVIDERS.join(part for part in parts if part)


def _output(told: ContextItem) -> TaskOutput:
    return TaskOutput(name=told.title, description=told.title, raw=told.text, agent=told.agent)

"""The allow-lists: what crews may name of this deployment, and the skills of the offline model.

A tool is a plain function `tool(context, **arguments) -> str`; its signature and docstring are what
the model is told. A guardrail is called with an answer (JSON, or text without an output_schema) and
the flow's inputs, and returns what is wrong, in words for the agent, or None. A crew that names
another tool or guardrail is refused. Add yours here.
"""

from collections.abc import Callable
from typing import Any

from crews.import_mapping.guardrails import fields_of_the_target
from crews.import_mapping.skill import map_columns
from crews.import_mapping.tools import profile_csv
from crews.insight import share_insight
from crews.research_brief.guardrails import numbers_of_the_notes

TOOLS: dict[str, Callable[..., str]] = {"profile_csv": profile_csv, "share_insight": share_insight}
GUARDRAILS: dict[str, Callable[[Any, dict[str, Any]], str | None]] = {
    "fields_of_the_target": fields_of_the_target,
    "numbers_of_the_notes": numbers_of_the_notes,
}
SKILLS = (map_columns,)

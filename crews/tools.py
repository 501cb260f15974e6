"""What the allow-lists name, loaded, and the skills of the offline model."""

from collections.abc import Callable
from typing import Any

from crews import allow_list
from crews.import_mapping.skill import map_columns
from crews.loading import load_all, load_tools

TOOLS: dict[str, Callable[..., str]] = load_tools(allow_list.TOOLS)
GUARDRAILS: dict[str, Callable[[Any, dict[str, Any]], str | None]] = load_all(allow_list.GUARDRAILS)
SKILLS = (map_columns,)

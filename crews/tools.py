"""What the allow-lists name, loaded, and the skills of the offline model."""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from crews import allow_list
from crews.import_mapping.skill import map_columns

TOOLS: dict[str, Callable[..., str]] = {
    name: resolve_name(address) for name, address in allow_list.TOOLS.items()
}
GUARDRAILS: dict[str, Callable[[Any, dict[str, Any]], str | None]] = {
    name: resolve_name(address) for name, address in allow_list.GUARDRAILS.items()
}
SKILLS = (map_columns,)

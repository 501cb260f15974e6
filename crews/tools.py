"""The allow-list: the tools that crews may name, and the skills of the offline model.

A tool is a plain function `tool(context, **arguments) -> str`; its signature and docstring are what
the model is told. A crew that names another tool is refused. Add yours here.
"""

from collections.abc import Callable

from crews.import_mapping.skill import map_columns
from crews.import_mapping.tools import profile_csv
from crews.insight import share_insight

TOOLS: dict[str, Callable[..., str]] = {"profile_csv": profile_csv, "share_insight": share_insight}
SKILLS = (map_columns,)

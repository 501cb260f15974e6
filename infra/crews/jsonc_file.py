"""A JSON file with comments, as CrewAI's projects have them, with the line of every value."""

import json
import re

from core.crews.definition import Problem
from infra.crews import yaml_file
from infra.crews.source import SourceError, SourceFile


def read(text: str, name: str) -> SourceFile:
    """Read what CrewAI reads: comments and trailing commas are none of it. Raises SourceError.

    Comments are taken out by CrewAI's own code, which leaves the ends of lines where they are.
    """
    from crewai.project.json_loader import JSONProjectError, strip_jsonc_comments  # noqa: PLC0415

    try:
        plain = strip_jsonc_comments(text)
        value = json.loads(plain)
    except json.JSONDecodeError as error:
        raise SourceError(Problem(name, error.lineno, f"not JSON: {error.msg}")) from error
    except (JSONProjectError, RecursionError) as error:
        raise SourceError(Problem(name, None, f"not JSON: {error}")) from error
    located = yaml_file.read(_as_yaml(plain), name)
    return SourceFile(name, value, located.lines, located.problems)


def _as_yaml(text: str) -> str:
    """Return JSON whose lines YAML's parser can tell, since it is nearly YAML: without tabs, escapes and the like."""
    plain = re.sub(r"\\.", "_", text)
    return "".join(each if each.isprintable() or each in "\r\n" else " " for each in plain)

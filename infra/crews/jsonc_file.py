"""A JSON file with comments, as CrewAI's projects have them, with the line of every value."""

import json

from core.crews.definition import Problem
from infra.crews import yaml_file
from infra.crews.source import SourceError, SourceFile


def read(text: str, name: str) -> SourceFile:
    """Read what CrewAI reads: comments and trailing commas are none of it. Raises SourceError.

    Comments are taken out by CrewAI's own code, which leaves the ends of lines where they are. JSON
    is YAML but for tabs, so the lines of the values are those that YAML's parser says.
    """
    from crewai.project.json_loader import JSONProjectError, strip_jsonc_comments  # noqa: PLC0415

    try:
        plain = strip_jsonc_comments(text)
        value = json.loads(plain)
    except json.JSONDecodeError as error:
        raise SourceError(Problem(name, error.lineno, f"not JSON: {error.msg}")) from error
    except (JSONProjectError, RecursionError) as error:
        raise SourceError(Problem(name, None, f"not JSON: {error}")) from error
    located = yaml_file.read(plain.replace("\t", " "), name)
    return SourceFile(name, value, located.lines, located.problems)

"""A crew's YAML file, with the line of every value, and no key twice in one mapping.

PyYAML keeps the last of two equal keys without a word, and a task with its human approval is gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import yaml

from core.crews.definition.rules import Place
from core.errors import InvalidInputError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as quick
_MERGE = "tag:yaml.org,2002:merge"


class CrewFileError(InvalidInputError):
    """A crew's file is wrong: which, in which line, and how. The deployment's fault, not a caller's."""

    def __init__(self, crew: str, file: str, line: int | None, error: str) -> None:
        where = file if line is None else f"{file}, line {line}"
        super().__init__(f"the crew {crew} is broken: {where}: {error}")
        self.crew, self.file, self.line, self.error = crew, file, line, error


class BadYamlError(ValueError):
    """What cannot be read, and the line where it cannot."""

    def __init__(self, message: str, line: int | None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class YamlFile:
    """What a file says, and the line of each value by its place; lines count from 1."""

    name: str
    value: Any
    lines: dict[Place, int]

    def line(self, place: Place) -> tuple[int, int]:
        """Return how many keys of the place are in this file, and the line of the last of them."""
        known = next(n for n in range(len(place), -1, -1) if place[:n] in self.lines)
        return known, self.lines[place[:known]]


def read(text: str, name: str) -> YamlFile:
    """Read YAML's safe part. Raises BadYamlError."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise BadYamlError("the file is empty", None)
        lines = dict(_lines(node, ()))
        return YamlFile(name, loader.construct_document(node), {**lines, (): 1})
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadYamlError(f"not YAML: {error.problem}", mark.line + 1 if mark else None) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, BadYamlError):
            raise
        raise BadYamlError(f"not YAML: {error}", None) from error
    finally:
        loader.dispose()


def _lines(node: yaml.Node, place: Place) -> Iterator[tuple[Place, int]]:
    """Yield the line of every value in a node. Raises BadYamlError for a key that occurs twice."""
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(cast("list[yaml.Node]", node.value)):
            yield from _lines(item, (*place, number))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            line, name = key.start_mark.line + 1, str(key.value)
            if key.tag != _MERGE and name in seen:
                raise BadYamlError(f"the key {name!r} stands here and in line {seen[name]}", line)
            seen[name] = line
            yield from _lines(value, (*place, name))
            yield (*place, name), line

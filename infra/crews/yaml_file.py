"""A YAML file of a crew, with the line of every value, and no key twice in one mapping.

PyYAML keeps the last of two equal keys without a word, and a task with its human approval is gone.
"""

from collections.abc import Iterator
from typing import Any, cast

import yaml

from core.crews.definition import Problem
from core.crews.definition.rules import Place
from infra.crews.source import SourceError, SourceFile

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as quick
_MERGE = "tag:yaml.org,2002:merge"
Doubled = tuple[str, int, int]  # a key, its line, and the line of the same key before it


def read(text: str, name: str) -> SourceFile:
    """Read YAML's safe part. Raises SourceError."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise SourceError(Problem(name, None, "the file is empty"))
        doubled = list[Doubled]()
        lines = dict(_lines(node, (), doubled))
        told = (_told_twice(name, each) for each in doubled)
        return SourceFile(name, loader.construct_document(node), {**lines, (): 1}, tuple(told))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise SourceError(Problem(name, line, f"not YAML: {error.problem}")) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SourceError(Problem(name, None, f"not YAML: {error}")) from error
    finally:
        loader.dispose()


def _told_twice(name: str, doubled: Doubled) -> Problem:
    key, line, before = doubled
    return Problem(name, line, f"the key {key!r} stands here and in line {before}")


def _lines(node: yaml.Node, place: Place, doubled: list[Doubled]) -> Iterator[tuple[Place, int]]:
    """Yield the line of every value in a node; add the keys that occur twice to `doubled`."""
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(cast("list[yaml.Node]", node.value)):
            yield from _lines(item, (*place, number), doubled)
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            line, name = key.start_mark.line + 1, str(key.value)
            if key.tag != _MERGE and name in seen:
                doubled.append((name, line, seen[name]))
            seen[name] = line
            yield from _lines(value, (*place, name), doubled)
            yield (*place, name), line

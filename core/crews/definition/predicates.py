"""A JSON Schema compiled to one function that says whether a value fits, and nothing more.

`jsonschema` takes some 20 microseconds for each value that it visits, compares it with all of an
`enum`, and lists every error of every branch of `anyOf`; a request of 256 kB could take seconds of a
process that others share. Here a value costs about a microsecond, and a branch is left at its first
mistake. `schemas` asks `jsonschema` only about what does not fit: to say why.

Without `unevaluated...` whether a value fits depends on that value alone. So a schema that refers to
itself is asked about each value once (`Seen`), however many of its branches lead there.
"""

import re
from typing import Any

from jsonschema import FormatChecker

from core.crews.definition.keywords import BRANCHES, CONTAINERS, LEAVES, Check, Seen, every

_NOT_COMPILED = frozenset({"$dynamicRef", "unevaluatedItems", "unevaluatedProperties"})
_ELSEWHERE = frozenset({"$id", "$anchor", "$dynamicAnchor"})  # where a reference leads is not plain


class NotCompiledError(ValueError):
    """The schema has a keyword whose cost is not bounded here; the message names it."""


class Predicates:
    """The predicates of a schema and of the schemas in it. Raises NotCompiledError when made."""

    def __init__(self, root: Any, formats: FormatChecker) -> None:
        self._root, self._formats = root, formats
        self._checks: dict[int, Check] = {}  # by the id of a schema, which `root` keeps alive
        self._references: dict[str, Check] = {}
        self._recursive: set[str] = set()
        self.fits = self.compile(root)

    def of(self, schema: Any) -> Check | None:
        """Return the predicate of a schema that is part of this one; None for another."""
        return self._checks.get(id(schema))

    def compile(self, schema: Any) -> Check:
        """Return the predicate of a schema within this one."""
        if isinstance(schema, bool):
            return lambda _, __: schema
        if id(schema) not in self._checks:
            parts = [self._keyword(name, rule, schema) for name, rule in schema.items()]
            self._checks[id(schema)] = every([part for part in parts if part is not None])
        return self._checks[id(schema)]

    def _keyword(self, name: str, rule: Any, schema: dict[str, Any]) -> Check | None:
        if name in _NOT_COMPILED or name in _ELSEWHERE:
            raise NotCompiledError(name)
        if name == "$ref":
            return self._reference(rule)
        if name == "format":
            return self._format(rule) if rule in self._formats.checkers else None
        if name in LEAVES:
            return LEAVES[name](rule)
        if name in BRANCHES:
            return BRANCHES[name](self.compile, rule, schema)
        return None  # it says something to a reader only

    def _format(self, name: str) -> Check:
        conforms = self._formats.conforms
        return lambda value, _: conforms(value, name)

    def _reference(self, reference: str) -> Check:
        """Return the predicate of what is referred to; it remembers its answers if it recurses."""
        if reference in self._references:
            self._recursive.add(reference)
            return self._references[reference]
        later: list[Check] = []
        remembering = self._references[reference] = _remembering(reference, later)
        later.append(self.compile(self._resolved(reference)))
        if reference in self._recursive:
            return remembering
        del self._references[reference]
        return later[0]

    def _resolved(self, reference: str) -> Any:
        if not re.fullmatch("#(/[^%]*)?", reference):
            raise NotCompiledError(f"$ref to {reference}")
        found = self._root
        for step in reference.split("/")[1:]:
            found = _member(found, step.replace("~1", "/").replace("~0", "~"))
        return found


def _member(container: Any, name: str) -> Any:
    try:
        return container[int(name) if type(container) is list else name]
    except (LookupError, TypeError, ValueError) as error:
        raise NotCompiledError(f"$ref to {name}, which is not there") from error


def _remembering(reference: str, target: list[Check]) -> Check:
    def check(value: Any, seen: Seen) -> bool:
        if type(value) not in CONTAINERS:
            return target[0](value, seen)
        answers, key = seen.setdefault(reference, {}), id(value)
        if key not in answers:
            answers[key] = target[0](value, seen)
        return answers[key]

    return check

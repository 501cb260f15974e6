"""Every problem has a type of its own status, whoever raised it, and docs/problems.md has them all."""

import ast
import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

import functions
from core import errors
from core.errors import CrewlineError
from functions._http import problems

RULE = "urn:crewline:problem:"


def raised_by_status() -> Iterator[int]:
    """Yield the status of every HTTPException in the functions' source."""
    for path in Path("functions").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "HTTPException":
                (status,) = [each.value for each in node.args[:1] if isinstance(each, ast.Constant)]
                assert isinstance(status, int), path
                yield status


def kinds() -> set[type[CrewlineError]]:
    for module in pkgutil.walk_packages(functions.__path__, "functions."):
        importlib.import_module(module.name)
    found, left = set[type[CrewlineError]](), [CrewlineError]
    while left:
        more = left.pop().__subclasses__()
        left += more
        found |= {kind for kind in more if kind.__module__.startswith(("core.", "functions."))}
    return found


@pytest.mark.parametrize("status", sorted({405, *raised_by_status()}))
def test_a_status_that_a_function_answers_has_its_type(status: int):
    problem = json.loads(bytes(problems.response(HTTPException(status, "why")).body))
    name, title = problems.TYPES[status]
    assert (problem["type"], problem["title"]) == (RULE + name, title)


def test_every_error_of_the_core_has_the_type_of_its_status():
    found = kinds()
    assert {errors.ConflictError, errors.UnavailableError} <= found
    for kind in found:
        status = next(
            (problems.STATUS[each] for each in kind.__mro__ if each in problems.STATUS), 500
        )
        assert status in problems.TYPES
        assert status != 500, kind


def test_no_two_statuses_share_a_type():
    assert len({name for name, _ in problems.TYPES.values()}) == len(problems.TYPES)


def test_the_page_of_problems_has_each_of_them():
    lines = Path("docs/problems.md").read_text("utf-8").splitlines()
    rows = [line.split(" | ")[:3] for line in lines if line.startswith("| ") and "`" in line]
    told = {
        int(status[2:]): (name.strip("`"), title)
        for status, name, title in rows
        if status[2:].isdecimal()
    }
    assert told == problems.TYPES

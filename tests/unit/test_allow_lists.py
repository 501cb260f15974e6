"""What the allow-lists may name, judged the way a worker and `make check` judge it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from crewai.tools import BaseTool, tool

from core.adapters.crewai.tools import check
from crews.loading import AllowListError, LackingPackageError, load_decider, load_tool
from infra.crews.allow_lists import unloadable

TOOLS = """
class Tool:
    def __call__(self, context, file: str) -> str: return file
    def other(self, context, file: str) -> str: return file
def annotated(there: "Context", file: str) -> str: return file
def named(context, file: str) -> str: return file
def unused(_context, file: str = "") -> str: return file
method, instance, nothing = Tool().other, Tool(), None
def without() -> str: return ""
def forgotten(document: str) -> str: return document
def last(document: str, context) -> str: return document
def by_name(*, context, document: str) -> str: return document
def unknown(context, document: "Foo") -> str: return document
def many(context, *documents: str) -> str: return ""
def any_name(context, **documents: str) -> str: return ""
class Context: pass
"""
A_CONTEXT = "its first argument must be the context"
FAULTS = {
    "without": A_CONTEXT,
    "forgotten": A_CONTEXT,
    "last": A_CONTEXT,
    "by_name": A_CONTEXT,
    "unknown": "the type of an argument is not there: name 'Foo' is not defined",
    "many": "name its arguments",
    "any_name": "name its arguments",
    "Tool": "this is a class",
    "CountsClass": "this is a class",
    "instance": "this is no function",
    "nothing": "is no function",
}


class CountsClass(BaseTool):
    name: str = "counts"
    description: str = "Counts words."

    def _run(self, document: str) -> str:
        return str(len(document.split()))


@pytest.fixture(autouse=True)
def listed() -> Iterator[ModuleType]:
    module = ModuleType("tools_of_a_test")
    sys.modules[module.__name__] = module
    exec(TOOLS, vars(module))  # noqa: S102 -- annotations are read in the module's own names

    @tool("counted")
    def counted(document: str) -> str:
        """Count words."""
        return str(len(document.split()))

    vars(module).update(counted=counted, counts=CountsClass(), CountsClass=CountsClass)
    yield module
    del sys.modules[module.__name__]


def address(name: str) -> str:
    return f"tools_of_a_test:{name}"


@pytest.mark.parametrize("name", ["annotated", "named", "unused", "method", "counted", "counts"])
def test_what_can_be_called_as_a_tool_is_taken(name: str):
    check(name, load_tool(name, address(name)))
    assert [*unloadable({name: address(name)}, load_tool)] == []


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_is_refused_before_a_worker_runs_and_says_which_and_why(name: str):
    with pytest.raises(AllowListError) as refusal:
        load_tool("mine", address(name))
    told: Any = str(refusal.value)
    assert told.startswith(f"crews/allow_list.py: mine: {address(name)}")
    assert FAULTS[name] in told
    assert [*unloadable({"mine": address(name)}, load_tool)] == [told]


def test_a_decider_is_a_module_with_all_four_functions():
    assert load_decider("fields", "crews.import_mapping.column_decisions")
    with pytest.raises(AllowListError) as told:
        load_decider("fields", "crews.import_mapping.lessons")
    assert "has no function memory, decisions, lesson, decided" in str(told.value)
    with pytest.raises(AllowListError):
        load_decider("fields", "crews.import_mapping.column_decisions:NOTHING")


def test_a_module_that_imports_what_is_not_installed_says_so_and_is_told_from_one_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "lacks_a_package.py").write_text("import a_package_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LackingPackageError, match="No module named 'a_package_that_nobody_has'"):
        load_decider("one", "lacks_a_package")
    with pytest.raises(AllowListError) as raised:
        load_decider("one", "crews.import_mapping.no_such_module")
    assert not isinstance(raised.value, ImportError)

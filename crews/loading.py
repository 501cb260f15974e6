"""Loading what the allow-lists name, and judging whether it can be called as it will be.

A tool is a function `tool(context, **arguments)`, or one of CrewAI's own form: an instance of a
`BaseTool`, such as its `@tool` makes of a function, which takes no context.
"""

import inspect
import logging
import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pkgutil import resolve_name
from typing import Any, get_type_hints

log = logging.getLogger(__name__)

DECIDER = ("memory", "decisions", "lesson", "decided")


class AllowListError(Exception):
    """An entry of `crews/allow_list.py` names nothing that can be called; says which, and why."""


class LackingPackageError(AllowListError, ImportError):
    """What an entry of `crews/allow_list.py` imports is not installed on this host."""


def load(
    name: str, address: str, *, calls: Callable[[object], bool] = callable
) -> Callable[..., Any]:
    """Return the function at `module:name`, or what else `calls` takes.

    Raises AllowListError; LackingPackageError where what it imports is not installed.
    """
    try:
        import_module(address.partition(":")[0])  # resolve_name alone hides what this one says
        found = resolve_name(address)
    except ModuleNotFoundError as error:
        complaint = f"crews/allow_list.py: {name}: {address} cannot be loaded: {error}"
        is_ours = (error.name or "").partition(".")[0] == "crews"
        raise (AllowListError if is_ours else LackingPackageError)(complaint) from error
    except Exception as error:  # whatever the code of a tool raises when it is imported
        complaint = f"{address} cannot be loaded: {_place(error)}{type(error).__name__}: {error}"
        raise AllowListError(f"crews/allow_list.py: {name}: {complaint}") from error
    if not (callable(found) or calls(found)):
        raise AllowListError(f"crews/allow_list.py: {name}: {address} is no function")
    return found


def load_all(addresses: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    """Return all functions of an allow-list by name. Raises AllowListError for the first it lacks."""
    return {name: load(name, address) for name, address in addresses.items()}


def load_tool(name: str, address: str) -> Any:
    """Return the tool at `module:name`. Raises AllowListError if it cannot be called as one."""
    tool = load(name, address, calls=_is_crewai_tool)
    try:
        fault = None if _is_crewai_tool(tool) else _fault_of(tool)
    except NameError as error:
        fault = f"the type of an argument is not there: {error}"
    if fault is not None:
        raise AllowListError(f"crews/allow_list.py: {name}: {address}: {fault}")
    return tool


def load_tools(addresses: Mapping[str, str]) -> dict[str, Any]:
    """Return all tools of an allow-list by name. Raises AllowListError for the first that is none."""
    return {name: load_tool(name, address) for name, address in addresses.items()}


def load_project_tool(address: str) -> Any:
    """Return the tool of a project's own in this module: CrewAI's choice, its first class by name.

    Raises AllowListError if it has none, or cannot be loaded.
    """
    try:
        module = import_module(address)
        there = [getattr(module, name) for name in dir(module)]
        tools = [each for each in there if isinstance(each, type) and _is_crewai_tool_class(each)]
        if tools:
            return tools[0]()
    except (Exception, SystemExit) as error:
        complaint = f"{address} cannot be loaded: {_place(error)}{type(error).__name__}: {error}"
        raise AllowListError(complaint) from error
    raise AllowListError(f"{address} has no class that inherits from crewai.tools.BaseTool")


def load_project_tools(addresses: Iterable[str]) -> dict[str, Any]:
    """Return tools of projects' own by address. One that cannot be loaded is logged, and stops no other."""
    tools: dict[str, Any] = {}
    for address in sorted(addresses):
        try:
            tools[address] = load_project_tool(address)
        except AllowListError as error:
            log.error("%s", error)  # noqa: TRY400 -- it says where
    return tools


def load_decider(name: str, address: str) -> Any:
    """Return the module of this name. Raises AllowListError if it has not all that a decider needs."""
    decider = load(name, address, calls=inspect.ismodule)
    lacking = [each for each in DECIDER if not callable(getattr(decider, each, None))]
    if lacking:
        complaint = f"{address} has no function {', '.join(lacking)}"
        raise AllowListError(f"crews/allow_list.py: {name}: {complaint}")
    return decider


def _is_crewai_tool(found: object) -> bool:
    """Tell whether this is an instance of CrewAI's BaseTool, without loading CrewAI."""
    return any(each.__name__ == "BaseTool" for each in type(found).__mro__)


def _is_crewai_tool_class(found: type) -> bool:
    return found.__name__ != "BaseTool" and any(e.__name__ == "BaseTool" for e in found.__mro__)


def _fault_of(tool: Callable[..., Any]) -> str | None:
    """Return what keeps a function from being a tool. Raises NameError for a type that is not there."""
    if isinstance(tool, type):
        return "this is a class: name an instance of it"
    if not inspect.isroutine(tool):
        return "this is no function"
    parameters = [*inspect.signature(tool).parameters.values()]
    if not parameters or not _is_context(parameters[0]):
        return "its first argument must be the context: def tool(context: Context, ...) -> str"
    if any(each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in parameters[1:]):
        return "name its arguments: a model is told them one by one, so *args and **kwargs are none"
    get_type_hints(tool)
    return None


def _is_context(parameter: inspect.Parameter) -> bool:
    by_position = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    named = parameter.name.strip("_") == "context" or "Context" in str(parameter.annotation)
    return by_position and named


def _place(error: BaseException) -> str:
    """Return `file:line ` of the code that is wrong; empty where it is the address itself."""
    if isinstance(error, SyntaxError):
        return f"{os.path.relpath(error.filename or '?')}:{error.lineno} "
    frame = traceback.extract_tb(error.__traceback__)[-1]
    outside = frame.filename.startswith("<") or frame.filename.endswith("pkgutil.py")
    return "" if outside else f"{os.path.relpath(frame.filename)}:{frame.lineno} "

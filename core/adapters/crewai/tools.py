"""Tools: functions on the deployment's allow-list, as CrewAI sees them.

A tool that fails tells the agent why and lets it go on: what the agent answers then counts. The
failed call is marked in the flow's events, and the worker's log has the error with its traceback.
An error whose class says `is_fatal = True` ends the step instead: nothing an agent could answer
without this tool would be worth having.
"""

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, get_type_hints

from crewai.tools import BaseTool
from crewai.tools.tool_failure import ToolFailure, ToolFailureReason
from pydantic import BaseModel, create_model

from core.adapters.crewai.stop_signal import StopSignal
from core.adapters.crewai.threads import in_thread
from core.blobs import INPUT_ID, BlobStore
from core.crews.work import StepDeferredError, StepFailedError, Tool, ToolContext
from core.errors import CrewlineError, NotFoundError, UnavailableError
from core.json_text import encodable

log = logging.getLogger(__name__)

TOOL_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class StepContext:
    """A ToolContext: opens inputs of one tenant; a model cannot name any other blob."""

    blobs: BlobStore
    tenant: str
    insight: Callable[[str], None]

    def open(self, input_id: str) -> BinaryIO:
        """Return the bytes of an uploaded input. Raises NotFoundError."""
        if not INPUT_ID.fullmatch(input_id):
            raise NotFoundError(f"there is no input {input_id[:64]!r}")
        return self.blobs.open(self.tenant, input_id)

    def tell(self, insight: str) -> None:
        """Tell the user something. Raises ValueError if it is too much."""
        self.insight(insight)


@dataclass(frozen=True, slots=True)
class ToolBounds:
    """What holds for all tools of a step: its stop signal, and the time of a call."""

    stop_signal: StopSignal
    seconds: float


class AllowedTool(BaseTool):
    """One function of the allow-list, bound to what it may reach."""

    function: Tool
    context: Any  # a ToolContext; pydantic cannot check a protocol
    bounds: ToolBounds

    def _run(self, **arguments: Any) -> Any:
        """Return the tool's text, or a ToolFailure: raising would make CrewAI call it again."""
        try:
            return self._within_time(arguments)
        except UnavailableError as error:
            put_off = StepDeferredError(str(error), error.retry_after_seconds)
            self.bounds.stop_signal.stop(put_off)
            reason = str(error)
        except (Exception, SystemExit) as error:  # tools are the deployment's; any may come
            log.warning("the tool %s failed", self.name, exc_info=error)
            reason = _reason(error)
            if getattr(error, "is_fatal", False):
                failed = StepFailedError(f"the tool {self.name} failed: {reason}")
                self.bounds.stop_signal.stop(failed)
        return ToolFailure(message=f"Error: {reason}", reason=ToolFailureReason.EXCEPTION)

    def _within_time(self, arguments: dict[str, Any]) -> Any:
        """Call the function. Raises what it raises; ToolTimeoutError leaves it at work."""
        called = in_thread(f"tool {self.name}", lambda: self.function(self.context, **arguments))
        try:
            error = called.exception(self.bounds.seconds)
        except TimeoutError:  # of the wait; the function's own would be returned
            raise ToolTimeoutError(f"it took longer than {self.bounds.seconds:g} s") from None
        if error is not None:
            raise error
        text: Any = called.result()  # whatever it promised
        return encodable(text) if isinstance(text, str) else text


class ToolTimeoutError(Exception):
    """A tool did not answer in time."""


def check(name: str, tool: Tool) -> None:
    """Raise ValueError unless a tool of the allow-list can be called as one."""
    if not isinstance(tool, BaseTool) and not inspect.signature(tool).parameters:
        raise ValueError(f"the tool {name} must take a context as its first argument")


def bind(
    names: Sequence[str], allowed: Mapping[str, Tool], context: ToolContext, bounds: ToolBounds
) -> list[AllowedTool]:
    """Return the named tools, bound. Raises StepFailedError if one is not on the list."""
    if missing := [name for name in names if name not in allowed]:
        there = ", ".join(sorted(allowed)) or "none"
        raise StepFailedError(f"no tool {', '.join(missing)} here; there are: {there}")
    return [_bound(name, allowed[name], context, bounds) for name in names]


def _bound(name: str, tool: Tool, context: ToolContext, bounds: ToolBounds) -> AllowedTool:
    """Return a tool with its context; one of CrewAI's own form takes none."""
    if isinstance(tool, BaseTool):
        run, description, arguments = _without_context(tool), tool.description, tool.args_schema
    else:
        run, description, arguments = tool, inspect.getdoc(tool) or name, _arguments(name, tool)
    return AllowedTool(
        name=name,
        description=description,
        args_schema=arguments,
        function=run,
        context=context,
        bounds=bounds,
    )


def _without_context(tool: BaseTool) -> Tool:
    run: Callable[..., Any] = tool.run

    def called(_context: ToolContext, **arguments: Any) -> Any:
        return run(**arguments)

    return called


def _arguments(name: str, tool: Tool) -> type[BaseModel]:
    """Return the model of a tool's arguments: its signature without the context."""
    types = get_type_hints(tool, include_extras=True)
    parameters = list(inspect.signature(tool).parameters.values())[1:]
    fields: dict[str, Any] = {
        parameter.name: (types.get(parameter.name, Any), _default(parameter))
        for parameter in parameters
    }
    return create_model(f"{name}_arguments", **fields)


def _default(parameter: inspect.Parameter) -> Any:
    return ... if parameter.default is parameter.empty else parameter.default


def _reason(error: BaseException) -> str:
    """Say what went wrong; only errors that are written for a reader are quoted."""
    if isinstance(error, SystemExit):
        return "it would have ended the whole process (SystemExit)"
    return (
        str(error)
        if isinstance(error, CrewlineError | ToolTimeoutError | ValueError)
        else type(error).__name__
    )

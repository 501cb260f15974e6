"""Tools: functions on the deployment's allow-list, as CrewAI sees them.

A tool that fails tells the agent why and lets it try otherwise. When its last word is an error,
the agent could not get around that, and whatever it answers then is not taken for a result.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, get_type_hints

from crewai.tools import BaseTool
from crewai.tools.tool_failure import ToolFailure, ToolFailureReason
from pydantic import BaseModel, create_model

from core.adapters.crewai.stop_signal import StopSignal
from core.blobs import INPUT_ID, BlobStore
from core.crews.work import StepFailedError, Tool, ToolContext
from core.errors import CrewlineError, NotFoundError, UnavailableError


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


class AllowedTool(BaseTool):
    """One function of the allow-list, bound to what it may reach."""

    function: Tool
    context: Any  # a ToolContext; pydantic cannot check a protocol
    stop_signal: StopSignal

    def _run(self, **arguments: Any) -> Any:
        """Return the tool's text, or a ToolFailure: raising would make CrewAI call it again."""
        try:
            text = self.function(self.context, **arguments)
        except UnavailableError as error:
            self.stop_signal.stop(error)
            return self._failed(str(error))
        except Exception as error:  # noqa: BLE001 -- tools are the deployment's; any may come
            return self._failed(_reason(error))
        self.stop_signal.tool_failure = None
        return text

    def _failed(self, reason: str) -> ToolFailure:
        self.stop_signal.tool_failure = f"the tool {self.name} failed: {reason}"
        return ToolFailure(message=f"Error: {reason}", reason=ToolFailureReason.EXCEPTION)


def bind(
    names: Sequence[str], allowed: Mapping[str, Tool], context: ToolContext, stop_signal: StopSignal
) -> list[AllowedTool]:
    """Return the named tools, bound. Raises StepFailedError if one is not on the list."""
    if missing := [name for name in names if name not in allowed]:
        there = ", ".join(sorted(allowed)) or "none"
        raise StepFailedError(f"no tool {', '.join(missing)} here; there are: {there}")
    return [
        AllowedTool(
            name=name,
            description=inspect.getdoc(allowed[name]) or name,
            args_schema=_arguments(name, allowed[name]),
            function=allowed[name],
            context=context,
            stop_signal=stop_signal,
        )
        for name in names
    ]


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


def _reason(error: Exception) -> str:
    """Say what went wrong; only errors that are written for a reader are quoted."""
    return str(error) if isinstance(error, CrewlineError | ValueError) else type(error).__name__

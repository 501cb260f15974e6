"""Tools: functions on the deployment's allow-list, as CrewAI sees them.

A tool that fails tells the agent why and lets it go on: what the agent answers then counts. The
failed call is marked in the flow's events, and the worker's log has the error with its traceback.

Where nothing an agent could answer without this tool would be worth having, a failure ends the step:
an error whose class says `is_fatal = True`, an input of the flow that is gone, and any failure of a
tool that says `is_essential = True`, its time-out too; but not the id of an input that there never
was, which the agent may put right.

A step that is begun again hears from its journal what its tools said (replay.py). One that was at work
when its worker was killed is called once more, unless it says `is_idempotent = False`: then the agent
is told that nobody knows what came of it. `context.idempotency_key` is the same each time.
"""

import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar, get_type_hints

from crewai.tools import BaseTool
from crewai.tools.tool_failure import ToolFailure, ToolFailureReason
from pydantic import BaseModel, create_model

from core.adapters.crewai import replay
from core.adapters.crewai.stop_signal import StopSignal
from core.blobs import INPUT_ID, BlobStore, from_thread
from core.crews.crew_runner import StepDeferredError, StepFailedError, Tool, ToolContext
from core.errors import CrewlineError, NotFoundError, UnavailableError
from core.json_text import encodable

log = logging.getLogger(__name__)
T = TypeVar("T")

TOOL_SECONDS = 300.0


# When the call of a tool that runs in this context must be over, by time.monotonic.
_ends: ContextVar[float] = ContextVar("ends")


class InputGoneError(NotFoundError):
    """An input that the flow was launched with was deleted since."""

    is_fatal = True


@dataclass(frozen=True, slots=True)
class StepContext:
    """A ToolContext: opens inputs of one tenant; a model cannot name any other blob.

    `inputs` are the ids that the flow was launched with.
    """

    blobs: BlobStore
    tenant: str
    inputs: frozenset[str]
    insight: Callable[[str], None]
    stop_signal: StopSignal
    flow: str = ""
    step: str = ""
    attempt: int = 1

    @property
    def idempotency_key(self) -> str:
        """Return the same each time that the step makes this call, however often it is begun."""
        call = replay.current_tool_call()
        return f"{self.flow}.{self.step}.{call.key if call else ''}"

    def open(self, input_id: str) -> BinaryIO:
        """Return the bytes of an uploaded input. Raises NotFoundError."""
        return self._found(self.blobs.open, input_id)

    def size(self, input_id: str) -> int:
        """Return how many bytes an uploaded input has. Raises NotFoundError."""
        return self._found(self.blobs.size, input_id)

    def seconds_left(self) -> float:
        """Return how long this call may still take; nothing once the step was stopped."""
        return 0.0 if self.stop_signal.stopped else _ends.get() - time.monotonic()

    def tell(self, insight: str) -> None:
        """Tell the user something. Raises ValueError if it is too much."""
        self.insight(insight)

    def _found(self, look: Callable[[str, str], T], input_id: str) -> T:
        if not INPUT_ID.fullmatch(input_id):
            raise NotFoundError(f"there is no input {input_id[:64]!r}")
        try:
            return from_thread(look, self.tenant, input_id)
        except NotFoundError as error:
            if input_id in self.inputs:
                raise InputGoneError(f"the input {input_id} was deleted") from error
            raise


# Calls a function in a thread of that name, which counts as one of the flow until it ends.
StartThread = Callable[[str, Callable[[], Any]], Future[Any]]


@dataclass(frozen=True, slots=True)
class ToolBounds:
    """What holds for all tools of a step: its stop signal, its threads, and the time of a call."""

    stop_signal: StopSignal
    seconds: float
    start_thread: StartThread
    late: dict[str, Future[Any]] = field(default_factory=dict[str, Future[Any]])  # by tool


class AllowedTool(BaseTool):
    """One function of the allow-list, bound to what it may reach."""

    function: Tool
    context: Any  # a ToolContext; pydantic cannot check a protocol
    bounds: ToolBounds
    is_essential: bool
    is_once: bool

    def _run(self, **arguments: Any) -> Any:
        """Return the tool's text, or a ToolFailure; what the step's journal knows is not done again."""
        with replay.tool_call(self.name, arguments, once=self.is_once) as call:
            if call is None:
                return self._result(arguments)
            if call.is_replayed:
                return call.result()
            if failure := self._begin(call):
                return failure
            result = self._result(arguments)
            if self.bounds.stop_signal.stopped is None:
                call.end(result)
            return result

    def _begin(self, call: replay.ToolCall) -> ToolFailure | None:
        """Keep what was heard so far; return why the tool must not run, if it must not."""
        if not self.is_once:
            call.begin()
            return None
        if call.was_begun:
            return _failure(
                "it was begun before, and nobody knows what came of it: check that first"
            )
        try:
            call.begin_once()
        except Exception as error:  # noqa: BLE001 -- whatever it is, it would be unknown that it ran
            self.bounds.stop_signal.stop(error)
            return _failure("it was not begun")
        return None

    def _result(self, arguments: dict[str, Any]) -> Any:
        """Return the tool's text, or a ToolFailure: raising would make CrewAI call it again."""
        try:
            return self._within_time(arguments)
        except UnavailableError as error:
            put_off = StepDeferredError(str(error), error.retry_after_seconds)
            self.bounds.stop_signal.stop(put_off)
            reason = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- tools are the deployment's; any may come
            reason = _reason(error)
            self._log_failure(error)
            if self._is_fatal(error):
                failed = StepFailedError(f"the tool {self.name} failed: {reason}")
                self.bounds.stop_signal.stop(failed)
        return _failure(reason)

    def _log_failure(self, error: BaseException) -> None:
        """Log a failure; without its trace where the tool foresaw it, as what a user's file causes."""
        if getattr(error, "is_fatal", False):
            log.info("the tool %s ended its step", self.name)
        else:
            log.warning("the tool %s failed", self.name, exc_info=error)

    def _is_fatal(self, error: BaseException) -> bool:
        wrong_argument = isinstance(error, NotFoundError)
        return getattr(error, "is_fatal", self.is_essential and not wrong_argument)

    def _within_time(self, arguments: dict[str, Any]) -> Any:
        """Call the function. Raises what it raises; ToolTimeoutError leaves it at work.

        A tool that was left at work is not called again until it is done: nothing else bounds how
        many threads an agent could pile up.
        """
        bounds = self.bounds
        if (late := bounds.late.get(self.name)) and not late.done():
            raise ToolTimeoutError("an earlier call of it is still at work")
        called = bounds.start_thread(f"tool {self.name}", lambda: self._call(arguments))
        try:
            error = called.exception(bounds.seconds)
        except TimeoutError:  # of the wait; the function's own would be returned
            bounds.late[self.name] = called
            raise ToolTimeoutError(f"it took longer than {bounds.seconds:g} s") from None
        if error is not None:
            raise error
        text: Any = called.result()  # whatever it promised
        return encodable(text) if isinstance(text, str) else text

    def _call(self, arguments: dict[str, Any]) -> Any:
        seconds = self.bounds.seconds
        _ends.set(time.monotonic() + seconds)
        try:
            return self.function(self.context, **arguments)
        except TimeoutError as error:  # of a tool that looks at the time it has
            raise ToolTimeoutError(f"it took longer than {seconds:g} s") from error


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
        name = tool.name if "." in name else name  # of a project's own, as CrewAI tells it
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
        is_essential=getattr(tool, "is_essential", False),
        is_once=not getattr(tool, "is_idempotent", True),
    )


def is_once(tool: BaseTool) -> bool:
    """Tell whether a tool must not run twice for one call."""
    return isinstance(tool, AllowedTool) and tool.is_once


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


def _failure(reason: str) -> ToolFailure:
    return ToolFailure(message=f"Error: {reason}", reason=ToolFailureReason.EXCEPTION)


def _reason(error: BaseException) -> str:
    """Say what went wrong; only errors that are written for a reader are quoted."""
    if isinstance(error, SystemExit):
        return "it would have ended the whole process (SystemExit)"
    return (
        str(error)
        if isinstance(error, CrewlineError | ToolTimeoutError | ValueError)
        else type(error).__name__
    )

"""Logs: one JSON object a line, or a line for a person, with the flow and the request it is about.

A JSON line has `time` (UTC), `level`, `logger` and `message`; what `context` and `add` have set, of
`tenant`, `flow`, `step`, `attempt` and `request_id`; what its own `extra` adds; and `error`, a
traceback. The context goes along into tasks and into threads that are given a copy of it.

No line repeats what somebody else has written: a provider's answer, a prompt, a tool's argument, a
key. Messages are our own words. Of an exception only its class and its place are logged, and its text
if its class says `loggable = True`; of what a library logs or warns of, only where it did.
"""

import json
import logging
import sys
import threading
import time
import traceback
import warnings
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TextIO

JSON, TEXT = "json", "text"
_OURS = frozenset(
    {"core", "functions", "crews", "infra"}
)  # packages; what they log is written by us
_LAMBDA = "awslambdaric"  # its handler writes lines of its own form
_ASYNCIO = (
    "asyncio"  # it says what went wrong in a first line of its own, and quotes in further ones
)
_PLAIN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_NOTHING: dict[str, Any] = {}
_context: ContextVar[dict[str, Any]] = ContextVar("logs", default=_NOTHING)
log = logging.getLogger(__name__)


class context:  # noqa: N801 -- used like a function; `contextlib` takes longer, and each poll has one
    """Adds these fields to all lines that are logged within; None takes one away."""

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _context.set({**_context.get(), **self._fields})

    def __exit__(self, *_: object) -> None:
        _context.reset(self._token)


def add(**fields: Any) -> None:
    """Add these fields to all further lines of the task, or of the `context` around this."""
    _context.set({**_context.get(), **fields})


def configure(form: str) -> None:
    """Have this process log to stderr, in the form JSON or TEXT; further calls change nothing.

    Warnings and exceptions that nobody caught become lines, too: Python would print their texts. A
    host that has a handler of its own keeps it, and all this undone, except for AWS Lambda's.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler).__module__.partition(".")[0] == _LAMBDA:
            root.removeHandler(handler)
    if root.handlers:
        return
    handler = _Handler()
    handler.setFormatter(JsonFormatter() if form == JSON else TextFormatter())
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    warnings.showwarning = _log_warning
    sys.excepthook, sys.unraisablehook = _log_uncaught, _log_unraisable
    threading.excepthook = _log_uncaught_in_thread


class JsonFormatter(logging.Formatter):
    """Makes one JSON object of a record, in ASCII, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": _utc(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
            **_fields(record),
        }
        if error := _error(record):
            line["error"] = error
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Makes a line of a record, for a terminal: time, level, flow, message, and what else there is."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback on further ones."""
        fields = _fields(record)
        flow = str(fields.pop("flow", ""))
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        words = [clock, f"{record.levelname:7}", *([flow] if flow else []), _message(record)]
        line = "".join(c if c.isprintable() else " " for c in " ".join(words))  # none can be forged
        more = [f" {name}={json.dumps(value, default=str)}" for name, value in fields.items()]
        error = _error(record)
        return line + "".join(more) + (f"\n{error}" if error else "")


class _Handler(logging.StreamHandler[TextIO]):
    """Writes lines to stderr."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging calls it so
        """Name the place of a line that cannot be made; Python's own would print its arguments."""
        self.stream.write(f"a line cannot be logged, at {record.pathname}:{record.lineno}\n")


def _utc(record: logging.LogRecord) -> str:
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{second}.{int(record.msecs):03d}Z"


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _OURS


def _message(record: logging.LogRecord) -> str:
    if _is_ours(record):
        return record.getMessage()
    if record.name == _ASYNCIO:
        return record.getMessage().partition("\n")[0]
    place = f"{record.filename}:{record.lineno}"
    return f"{record.name} logged at {place}; a library's words are not repeated"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the context's fields and the record's own, in that order."""
    own = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    fields = {**_context.get(), **own} if _is_ours(record) else _context.get()
    return {name: value for name, value in fields.items() if value is not None}


def _error(record: logging.LogRecord) -> str:
    """Return the traceback of a record's error and of what led to it, the oldest first."""
    chain = list[BaseException]()
    cause = record.exc_info[1] if record.exc_info else None
    while cause is not None and cause not in chain:
        chain.append(cause)
        hidden = None if cause.__suppress_context__ else cause.__context__
        cause = cause.__cause__ or hidden
    return "\n\n".join(map(_traceback, reversed(chain)))


def _traceback(error: BaseException) -> str:
    """Return where an error was raised, and its class; its text if that is ours by its class."""
    kind = type(error)
    builtin = kind.__module__ == "builtins"
    name = kind.__qualname__ if builtin else f"{kind.__module__}.{kind.__qualname__}"
    text = f"{name}: {error}" if getattr(kind, "loggable", False) is True else name
    return "".join([*traceback.format_tb(error.__traceback__), text])


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del message, file, line
    log.warning("%s, at %s:%s", category.__name__, filename, lineno)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, Exception):
        log.critical("the process ends", exc_info=(kind, error, trace))
    else:  # Ctrl-C
        sys.__excepthook__(kind, error, trace)


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        log.error("a thread ended", exc_info=args.exc_value)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    log.error("an error could not be raised", exc_info=args.exc_value)

"""Logs: one JSON object a line, or a line for a person, with the flow and the request it is about.

A JSON line has `time` (UTC), `level`, `logger` and `message`; what `context` and `add` have set, of
`tenant`, `flow`, `step`, `attempt` and `request_id`; what its own `extra` adds; and `error`, a
traceback. The context goes along into tasks and into threads that are given a copy of it.

No line says what somebody else has written. Messages are our own words, with no token, key, prompt or
answer in them. Of an exception that a library raised only its class and its place are told, as
its text may repeat a prompt or a key; of what a library logs, only the first line.
"""

import json
import logging
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

JSON, TEXT = "json", "text"
_OURS = frozenset({"core", "functions", "crews"})  # packages; what runs there is written by us
_LAMBDA = "awslambdaric"  # its handler writes lines of its own form
_PLAIN = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_NOTHING: dict[str, Any] = {}
_context: ContextVar[dict[str, Any]] = ContextVar("logs", default=_NOTHING)


@contextmanager
def context(**fields: Any) -> Generator[None]:
    """Add these fields to all lines that are logged within."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def add(**fields: Any) -> None:
    """Add these fields to all further lines of the task, or of the `context` around this."""
    _context.set({**_context.get(), **fields})


def configure(form: str) -> None:
    """Have this process log to stderr, in the form JSON or TEXT; further calls change nothing.

    A host that has a handler of its own keeps it, except for AWS Lambda's.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler).__module__.partition(".")[0] == _LAMBDA:
            root.removeHandler(handler)
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == JSON else TextFormatter())
    root.addHandler(handler)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)


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
        if record.exc_info and record.exc_info[1]:
            line["error"] = _told(record.exc_info[1])
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Makes a line of a record, for a terminal: level, flow, message, then whatever else there is."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback on further ones."""
        fields = _fields(record)
        flow = fields.pop("flow", None)
        message = " ".join(_message(record).splitlines())  # so that none can forge a line
        words = [f"{record.levelname:7}", *([str(flow)] if flow else []), message]
        words += [f"{name}={json.dumps(value, default=str)}" for name, value in fields.items()]
        error = record.exc_info[1] if record.exc_info else None
        return " ".join(words) + (f"\n{_told(error)}" if error else "")


def _utc(record: logging.LogRecord) -> str:
    second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{second}.{int(record.msecs):03d}Z"


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _OURS


def _message(record: logging.LogRecord) -> str:
    """Return the message; asyncio, for one, puts an exception's text into further lines."""
    message = record.getMessage()
    return message if _is_ours(record.name) else message.partition("\n")[0]


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the context's fields and the record's own, in that order."""
    if not _is_ours(record.name):
        return dict(_context.get())
    own = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    return {**_context.get(), **own}


def _told(error: BaseException) -> str:
    """Return the traceback of an error and of what led to it, the oldest first."""
    chain = list[BaseException]()
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        hidden = None if cause.__suppress_context__ else cause.__context__
        cause = cause.__cause__ or hidden
    return "\n\n".join(map(_one_told, reversed(chain)))


def _one_told(error: BaseException) -> str:
    """Return where an error was raised, and its class; its text if we have written that."""
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_in = str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    ours = _is_ours(kind.__module__) or _is_ours(raised_in)
    what = f"{name}: {error}" if ours and str(error) else name
    return "".join([*traceback.format_tb(error.__traceback__), what])

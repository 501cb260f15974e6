"""Which settings functions read when all that they ask the composition root for is made.

Reads `{FUNCTION: {VARIABLE: VALUE}}` on its standard input, and prints for each function `{"read": [FIELD], "failed": {PART:
WHY}}`. Each function is imported alone, in a process of its own that has its environment and nothing else; these are
forked, so that what all import is imported once.

`python -m tests.settings_read`
"""

import contextlib
import dataclasses
import importlib
import inspect
import json
import os
import re
import sys
from typing import Any

from core.config import Settings
from tests.bundle_process import Context

SHARED = ("boto3", "fastapi", "httpx", "mangum", "pydantic", "yaml")
WOKEN = ("crew_worker", "sweep", "retrain")  # by Lambda: no request reaches their apps
OF_REQUESTS = "functions._http."


class Noting:
    """Settings that note which of their fields are read."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.read = settings, set[str]()

    def __getattr__(self, name: str) -> Any:
        """Return a field or a method of the settings."""
        self.read.add(name)
        found = getattr(self.settings, name)
        return getattr(type(self.settings), name).__get__(self) if callable(found) else found


def looked_at(function: str) -> dict[str, Any]:
    """Import a function, make its parts, and return which settings that read."""
    importlib.import_module(f"functions.{function}")
    bootstrap = importlib.import_module("core.bootstrap")
    source = "".join(inspect.getsource(module) for module in _modules(function))
    failed = dict[str, str]()
    try:
        noting = Noting(bootstrap.settings())
    except Exception as error:  # noqa: BLE001 -- it is told
        return {"read": [], "failed": {"settings": str(error)}}
    with bootstrap.replace(settings=noting):
        named = set(re.findall(r"\bbootstrap\.(\w+)", source)) & set(bootstrap.__all__)
        for name in sorted(named - {"is_made", "replace"}):
            try:
                _make_later_parts(_made(getattr(bootstrap, name)))
            except Exception as error:  # noqa: BLE001 -- it is told
                failed[name] = f"{type(error).__name__}: {error}"
    noting.read.update(re.findall(r"\bsettings(?:\(\))?\.(\w+)", source))
    return {"read": sorted(noting.read), "failed": failed}


def _made(part: Any) -> Any:
    return part(*(Context() for _ in inspect.signature(part).parameters))


def _make_later_parts(made: Any, depth: int = 7) -> None:
    """Make what a part asks the composition root for when it is used: buckets, and models of tenants."""
    named = [one.name for one in dataclasses.fields(made)] if dataclasses.is_dataclass(made) else []
    parts = (getattr(made, name) for name in [*named, *getattr(made, "__dict__", {})])
    for part in parts if depth else ():
        if inspect.isfunction(part) and part.__module__.startswith("core.bootstrap"):
            with contextlib.suppress(Exception):  # there is no model of that name
                _made(part)
        elif type(part).__module__.startswith("core."):
            _make_later_parts(part, depth - 1)


def _modules(function: str) -> list[Any]:
    loaded = [module for name, module in sys.modules.items() if name.startswith("functions.")]
    if function in WOKEN:
        return [one for one in loaded if not one.__name__.startswith(OF_REQUESTS)]
    return loaded


def _forked(function: str, environ: dict[str, str]) -> dict[str, Any]:
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.environ.clear()
        os.environ.update(environ)
        with os.fdopen(writing, "w") as out:
            json.dump(looked_at(function), out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = json.load(answer)
    os.wait()
    return told


if __name__ == "__main__":
    for shared in SHARED:
        importlib.import_module(shared)
    print(
        json.dumps({name: _forked(name, environ) for name, environ in json.load(sys.stdin).items()})
    )

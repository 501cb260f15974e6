"""Fresh processes: how long one takes until it has printed a line, and what handlers are called with."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.apps import gateway_event

ROOT = Path(__file__).parents[1]
# What AWS' runtime does for a handler, and no more.
HANDLER = """
import json, os, sys
from functions.{function} import handler

class Context:
    aws_request_id = "r-1"

    def get_remaining_time_in_millis(self):
        return {seconds} * 1000

event = json.loads(sys.argv[1])
"""
ANSWER = "print(json.dumps(handler(event, Context())), flush=True); os._exit(0)"
REPEAT = """
import statistics, time

def once():
    start = time.perf_counter()
    handler(event, Context())
    return time.perf_counter() - start

once()
print(statistics.median(once() for _ in range(int(sys.argv[2]))) * 1000, flush=True)
os._exit(0)
"""
IMPORT = "import os, {module}; print(flush=True); os._exit(0)"
SECONDS = {"crew_worker": 300}  # of an invocation; others have those of API Gateway
API_SECONDS, AN_ERROR = 29, 400
UNCOMPILED = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}  # with these there may be no .pyc


@dataclass(frozen=True, slots=True)
class Run:
    """One fresh process: when it was started (s since 1970), how long until its line, and the line."""

    began: float
    seconds: float
    line: str


@dataclass(frozen=True, slots=True)
class Code:
    """What runs: a Python, and the folder of a function's code with its packages."""

    python: str = sys.executable
    folder: Path = ROOT


TREE = Code()


def _run(text: str, *arguments: str, environ: Mapping[str, str], code: Code) -> Run:
    """Run Python until it has printed a line. Raises RuntimeError with what went wrong."""
    compiled = {name: value for name, value in environ.items() if name not in UNCOMPILED}
    command = [code.python, "-c", text, *arguments]
    began, start = time.time(), time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=code.folder,
        env=compiled,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline() if process.stdout else ""
        seconds = time.perf_counter() - start
        told = process.stderr.read() if process.stderr else ""
    if not line:
        raise RuntimeError(f"{text[:60]!r} said nothing: {told[-2000:]}")
    return Run(began, seconds, line)


async def run(text: str, *arguments: str, environ: Mapping[str, str], code: Code = TREE) -> Run:
    """Run it in a thread, so that the loop knows which of its connections were closed meanwhile."""
    return await asyncio.to_thread(_run, text, *arguments, environ=environ, code=code)


async def imported(module: str, environ: Mapping[str, str], code: Code = TREE) -> Run:
    """Import a module in a fresh process."""
    return await run(IMPORT.format(module=module), environ=environ, code=code)


async def invoked(
    function: str, event: Mapping[str, Any], environ: Mapping[str, str], code: Code = TREE
) -> Run:
    """Have a fresh process answer one event. Raises RuntimeError if the answer is an error."""
    text = _handler(function) + ANSWER
    ran = await run(text, json.dumps(event), environ=environ, code=code)
    answer = json.loads(ran.line)
    if answer.get("statusCode", 200) >= AN_ERROR or answer.get("batchItemFailures"):
        raise RuntimeError(f"{function} answered {ran.line[:2000]}")
    return ran


async def warm_ms(
    function: str, event: Mapping[str, Any], times: int, environ: Mapping[str, str]
) -> float:
    """Return the median time of an invocation in a process that has answered before."""
    code = _handler(function) + REPEAT
    return float((await run(code, json.dumps(event), str(times), environ=environ)).line)


def _handler(function: str) -> str:
    return HANDLER.format(function=function, seconds=SECONDS.get(function, API_SECONDS))


def http_event(
    method: str, url: str, token: str, body: Any = None, **headers: str
) -> dict[str, Any]:
    """Return a request with a token, and JSON for a body, as API Gateway's HTTP APIs hand it on."""
    kind = {} if body is None else {"content-type": "application/json"}
    content = b"" if body is None else json.dumps(body).encode()
    return gateway_event(method, url, {"authorization": token} | kind | headers, content)


def sqs_event(tenant: str, flow: str) -> dict[str, Any]:
    """Return a wake-up as SQS delivers it to Lambda."""
    body = json.dumps({"tenant": tenant, "flow": flow})
    return {"Records": [{"messageId": "m-1", "body": body}]}

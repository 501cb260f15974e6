"""`make demo`: the main job in a terminal -- a real CSV in, its columns mapped, watched live.

Starts everything on this machine, uploads the file, launches `import_mapping`, follows the flow
as a browser would, and prints the mapping with its confidence, tokens and cost, and what is left of a
budget. Without a file of one's own it goes on to show what a person's corrections change
(demo_learning.py).
"""

import asyncio
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import httpx
from rich.console import Console

from clients.crewline import AsyncCrewline, CrewlineError, FlowFailedError
from core import identity
from core.config import Settings, SettingsError
from infra.local import folder, host
from infra.local.demo_learning import learn
from infra.local.demo_view import View, print_budget, print_outcome
from infra.local.processes import LocalError, Processes

T = TypeVar("T")

EXAMPLE = Path("crews/import_mapping/examples/us_ca_berkeley.csv")
INPUT_BYTES = 512 * 1024**2
BUDGET = {"scope": "crew", "name": "import_mapping", "window": "day", "limit_usd": "1"}


def main(arguments: list[str]) -> int:
    """Run the demonstration; return 0 only if the flow succeeded."""
    console = Console()
    try:
        csv = _csv(arguments)
        port = host.chosen_port(os.environ)
        host.check_settings(os.environ)
        data = host.data_folder(os.environ)
        with folder.held(data, f"make demo on port {port}"), Processes(data) as processes:
            return _run(console, csv, port, processes, learns=not _given(arguments))
    except KeyboardInterrupt:
        return 130
    except (LocalError, SettingsError) as error:
        print(f"crewline: {error}", file=sys.stderr)
        return 1


def _given(arguments: list[str]) -> str:
    return arguments[0] if arguments else ""


def _csv(arguments: list[str]) -> Path:
    """Return the file to map. Raises LocalError if there is none to read."""
    path = Path(_given(arguments) or EXAMPLE)
    if not path.is_file():
        raise LocalError(f"no such file: {path}; give one with make demo CSV=path")
    if not 0 < path.stat().st_size <= INPUT_BYTES:
        raise LocalError(f"{path} must have from 1 byte to 512 MiB")
    return path


def _run(console: Console, csv: Path, port: int, processes: Processes, *, learns: bool) -> int:
    with console.status("starting Valkey, the gateway, S3, the API and a worker ..."):
        environ = host.start(processes, port)
    settings = Settings.from_environ(environ)
    console.print(f"[bold]import_mapping[/] of {csv} with {_model(settings)}")
    url, token = f"http://127.0.0.1:{port}", _token(settings)
    is_hard = settings.model is None  # nobody may know the price of another model
    state, budget = _asked(processes, _mapped(console, csv, url, token, is_hard=is_hard))
    print_outcome(console, state, csv, url)
    print_budget(console, budget)
    if state["status"] != "succeeded":
        raise LocalError(f"the flow failed: {state['error']}")
    if learns:
        _asked(processes, _learnt(console, url, token))
    return 0


def _asked(processes: Processes, job: Coroutine[Any, Any, T]) -> T:
    """Return what a job returns that asks the API. Raises LocalError."""
    try:
        return asyncio.run(_watched(processes, job))
    except (httpx.HTTPError, CrewlineError, FlowFailedError) as error:
        raise LocalError(f"the API did not answer as it should: {error}") from error


async def _watched(processes: Processes, job: Coroutine[Any, Any, T]) -> T:
    """Return what the job returns; a child that dies meanwhile ends it with LocalError."""
    tasks = asyncio.create_task(job), asyncio.create_task(processes.watch())
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    processes.check()  # the child that died explains more than the error it led to
    return done.pop().result()


async def _mapped(
    console: Console, csv: Path, url: str, token: str, *, is_hard: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Set a budget, upload, launch and follow; return the flow's state at its end, and the budget's."""
    async with AsyncCrewline(url, token) as client:
        await client.call("PUT", "/v1/budgets/demo", json=BUDGET | {"hard": is_hard})
        file = await client.upload(csv)
        flow = await client.launch("import_mapping", {"file": file})
        with View(console) as view:
            async for event in client.follow(flow):
                view.show(event)
        budget = await client.call("GET", "/v1/budgets/demo")
        return await client.state(flow), budget.json()


async def _learnt(console: Console, url: str, token: str) -> None:
    """Show what corrections change."""
    async with AsyncCrewline(url, token) as client:
        with console.status("a source delivers twice, and a person corrects the first mapping ..."):
            await learn(console, client)


def _model(settings: Settings) -> str:
    if settings.model is None:
        return "the offline model (no API key set: deterministic, no network)"
    return settings.model


def _token(settings: Settings) -> str:
    return identity.mint(
        identity.Keys(settings.jwt_keys),
        "demo",
        "demo",
        identity.SCOPES,
        ttl_seconds=3600,
        now=int(time.time()),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

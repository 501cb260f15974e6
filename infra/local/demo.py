"""`make demo`: the main job in a terminal -- a real CSV in, its columns mapped, watched live.

Starts everything on this machine, uploads the file, launches `import_mapping`, follows the flow
as a browser would, and prints the mapping with its confidence, tokens and cost, and what that leaves of
a budget.
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

from clients.crewline import AsyncCrewline, CrewlineError
from core import identity
from core.config import Settings, SettingsError
from infra.local import folder, host
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
            return _run(console, csv, port, processes)
    except KeyboardInterrupt:
        return 130
    except (LocalError, SettingsError) as error:
        print(f"crewline: {error}", file=sys.stderr)
        return 1


def _csv(arguments: list[str]) -> Path:
    """Return the file to map. Raises LocalError if there is none to read."""
    path = Path(arguments[0]) if arguments and arguments[0] else EXAMPLE
    if not path.is_file():
        raise LocalError(f"no such file: {path}; give one with make demo CSV=path")
    if not 0 < path.stat().st_size <= INPUT_BYTES:
        raise LocalError(f"{path} must have from 1 byte to 512 MiB")
    return path


def _run(console: Console, csv: Path, port: int, processes: Processes) -> int:
    with console.status("starting Valkey, the gateway, S3, the API and a worker ..."):
        environ = host.start(processes, port)
    settings = Settings.from_environ(environ)
    console.print(f"[bold]import_mapping[/] of {csv} with {_model(settings)}")
    url = f"http://127.0.0.1:{port}"
    try:
        is_hard = settings.model is None  # nobody may know the price of another model
        job = _mapped(console, csv, url, _token(settings), is_hard)
        state, budget = asyncio.run(_watched(processes, job))
    except (httpx.HTTPError, CrewlineError) as error:
        raise LocalError(f"the API did not answer as it should: {error}") from error
    print_outcome(console, state, csv, url)
    print_budget(console, budget)
    if state["status"] != "succeeded":
        raise LocalError(f"the flow failed: {state['error']}")
    return 0


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
    console: Console, csv: Path, url: str, token: str, is_hard: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Set a budget, upload, launch and follow; return the flow's state at its end, and the budget's."""
    headers = {"authorization": f"Bearer {token}"}
    async with AsyncCrewline(url, token) as client, httpx.AsyncClient(headers=headers) as http:
        budget = f"{url}/v1/budgets/demo"
        (await http.put(budget, json=BUDGET | {"hard": is_hard})).raise_for_status()
        file = await client.upload(csv)
        flow = await client.launch("import_mapping", {"file": file})
        with View(console) as view:
            async for event in client.follow(flow):
                view.show(event)
        return await client.state(flow), (await http.get(budget)).raise_for_status().json()


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

"""`make dev`: everything on one port, restarted when the code changes, until Ctrl-C."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping

from watchfiles import PythonFilter, awatch

from core import identity
from core.config import Settings, SettingsError
from infra.local import host
from infra.local.processes import LocalError, Processes

WATCHED = ("core", "crews", "functions")


def main() -> int:
    """Run until interrupted; return the exit code."""
    try:
        port = host.chosen_port(os.environ)
        with Processes(host.data_folder(os.environ)) as processes:
            environ = host.start(processes, port)
            print(_welcome(port, environ), flush=True)
            asyncio.run(_serve(processes, port, environ))
    except KeyboardInterrupt:
        return 0
    except (LocalError, SettingsError) as error:
        print(f"crewline: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(processes: Processes, port: int, environ: Mapping[str, str]) -> None:
    """Return when told to stop. Raises LocalError when a child dies by itself."""
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    tasks = [
        asyncio.create_task(stopped.wait()),
        asyncio.create_task(processes.watch()),
        asyncio.create_task(_reload(processes, port, environ)),
    ]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


async def _reload(processes: Processes, port: int, environ: Mapping[str, str]) -> None:
    """Restart the functions at each change of their code."""
    source = PythonFilter(extra_extensions=(".yaml", ".lua"))
    async for _ in awatch(*WATCHED, watch_filter=source):
        _restart(processes, port, environ)


def _restart(processes: Processes, port: int, environ: Mapping[str, str]) -> None:
    """Restart API and worker. Code that does not run is no reason to end: the next change may.

    Blocks, so that nobody takes the children that are being stopped for dead ones.
    """
    began = time.monotonic()
    processes.stop(host.API, host.WORKER)
    try:
        host.start_functions(processes, port, environ)
    except LocalError as error:
        processes.stop(host.API, host.WORKER)
        print(f"crewline: {error}", file=sys.stderr)
    else:
        print(f"reloaded in {time.monotonic() - began:.1f} s", flush=True)


def _welcome(port: int, environ: Mapping[str, str]) -> str:
    settings = Settings.from_environ(environ)
    token = identity.mint(
        identity.Keys(settings.jwt_keys),
        "demo",
        "developer",
        identity.SCOPES,
        ttl_seconds=identity.LIFETIME_SECONDS,
        now=int(time.time()),
    )
    url = f"http://127.0.0.1:{port}"
    return (
        f"Crewline is at {url} -- Ctrl-C stops it\n"
        f"  model  {settings.model or 'offline (set OPENAI_API_KEY or CREWLINE_MODEL)'}\n"
        f"  token  {token}\n"
        f"  try    curl -H 'Authorization: Bearer TOKEN' {url}/v1/crews"
    )


if __name__ == "__main__":
    sys.exit(main())

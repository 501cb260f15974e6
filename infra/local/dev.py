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
from infra.local import folder, host
from infra.local.processes import LocalError, Processes

WATCHED = ("core", "crews", "functions")
LOOK_SECONDS = 0.2
BACK_OFF_SECONDS = (1.0, 2.0, 5.0, 15.0, 30.0)  # before a worker that ended is started again
STEADY_SECONDS = 60.0  # after which a worker that ends begins that row anew


class Sources(PythonFilter):
    """What people write, and not what was compiled of it."""

    ignore_entity_patterns = (*PythonFilter.ignore_entity_patterns, r"^compiled\.json$")

    def __init__(self) -> None:
        super().__init__(extra_extensions=(".yaml", ".lua", ".json", ".jsonc"))


def main() -> int:
    """Run until interrupted; return the exit code."""
    try:
        port = host.chosen_port(os.environ)
        host.check_settings(os.environ)
        data = host.data_folder(os.environ)
        with folder.held(data, f"make dev on port {port}"), Processes(data) as processes:
            environ = host.start(processes, port, but=(host.WORKER,))
            print(_welcome(port, environ), flush=True)
            asyncio.run(_serve(processes, port, environ))
    except KeyboardInterrupt:
        return 0
    except (LocalError, SettingsError) as error:
        print(f"crewline: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(processes: Processes, port: int, environ: Mapping[str, str]) -> None:
    """Return when told to stop. Raises LocalError when a child but the worker dies by itself."""
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    tasks = [
        asyncio.create_task(stopped.wait()),
        asyncio.create_task(processes.watch(but=(host.WORKER,))),
        asyncio.create_task(_keep_worker(processes, environ)),
        asyncio.create_task(_show_lines(processes)),
        asyncio.create_task(_reload(processes, port, environ)),
    ]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


async def _keep_worker(processes: Processes, environ: Mapping[str, str]) -> None:
    """Start the worker again whenever it ends: its flows go on from their last step."""
    failures, began, announced = 0, time.monotonic(), None
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        pid = processes.pid(host.WORKER)
        if pid != announced and processes.has_written(host.WORKER, host.WORKER_READY):
            but = (
                f"; but {host.NO_STEP}: see above"
                if processes.has_written(host.WORKER, host.NO_STEP)
                else ""
            )
            _print_lines(processes)
            print(f"the worker is ready, as process {pid}{but}", flush=True)
            announced = pid
        if (how := processes.ended(host.WORKER)) is None:
            continue
        failures = 0 if time.monotonic() - began > STEADY_SECONDS else failures
        pause = BACK_OFF_SECONDS[min(failures, len(BACK_OFF_SECONDS) - 1)]
        _complain(f"worker ended {how}; it is started again in {pause:g} s")
        await asyncio.sleep(pause)
        if processes.ended(host.WORKER) is not None:  # else a reload was quicker
            host.start_worker(processes, environ)
        failures, began = failures + 1, time.monotonic()


async def _show_lines(processes: Processes) -> None:
    """Print what API and worker log, as they do."""
    while True:
        _print_lines(processes)
        await asyncio.sleep(LOOK_SECONDS)


def _print_lines(processes: Processes) -> None:
    for name in (host.API, host.WORKER):
        for line in processes.new_lines(name):
            print(f"{name:6} {line}", flush=True)


async def _reload(processes: Processes, port: int, environ: Mapping[str, str]) -> None:
    """Restart the functions at each change of their code."""
    async for _ in awatch(*WATCHED, watch_filter=Sources()):
        _restart(processes, port, environ)


def _restart(processes: Processes, port: int, environ: Mapping[str, str]) -> None:
    """Restart API and worker. Code that does not run is no reason to end: the next change may.

    Blocks, so that nobody takes the children that are being stopped for dead ones.
    """
    began = time.monotonic()
    processes.stop(host.API, host.WORKER)
    try:
        host.start_functions(processes, port, environ, but=(host.WORKER,))
    except LocalError as error:
        processes.stop(host.API, host.WORKER)
        _complain(str(error))
    else:
        print(f"reloaded in {time.monotonic() - began:.1f} s", flush=True)


def _complain(line: str) -> None:
    print(f"crewline: {line}", file=sys.stderr, flush=True)


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
        f"Crewline is at {url} -- Ctrl-C stops it; the worker is loading\n"
        f"  model  {settings.model or 'offline (set OPENAI_API_KEY or CREWLINE_MODEL)'}\n"
        f"  token  {token}\n"
        f"  page   {url}/#token={token}\n"
        f"  try    curl -H 'Authorization: Bearer TOKEN' {url}/v1/crews"
    )


if __name__ == "__main__":
    sys.exit(main())

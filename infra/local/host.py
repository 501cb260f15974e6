"""The functions on one machine: the API on one port and a worker, with all that they reach."""

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from core.config import Settings
from infra.local import cloud, folder
from infra.local.processes import (
    LocalError,
    Processes,
    answers_http,
    require_free_port,
)

API, WORKER = "api", "worker"
WORKER_READY = "worker ready"
NO_STEP = "no step can run"  # how the worker begins to say what its model lacks
READY_SECONDS = 60


def data_folder(environ: Mapping[str, str]) -> Path:
    """Return where everything is kept that survives a restart."""
    return Path(environ.get("CREWLINE_DATA") or ".data").resolve()


def chosen_port(environ: Mapping[str, str]) -> int:
    """Return the port of the API. Raises LocalError for a wrong or taken one."""
    text = environ.get("CREWLINE_PORT") or "8787"
    if not text.isdecimal() or not 0 < int(text) < 65536:  # noqa: PLR2004 -- TCP's limit
        raise LocalError(f"CREWLINE_PORT must be a port number, not {text!r}")
    require_free_port(int(text), "CREWLINE_PORT")
    return int(text)


def check_settings(environ: Mapping[str, str]) -> None:
    """Raise SettingsError for what the functions would refuse, before anything is started."""
    Settings.from_environ(cloud.as_if_started(environ))


def start(processes: Processes, port: int, *, but: Collection[str] = ()) -> dict[str, str]:
    """Start servers, API and worker; return the functions' environment. Raises LocalError.

    The API answers when this returns; the worker takes some seconds more to load CrewAI. A child
    that ends meanwhile is an error at once, save those in `but`.
    """
    pages = [f"http://{name}:{port}" for name in ("127.0.0.1", "localhost")]
    environ = cloud.start(processes, data_folder(os.environ), os.environ, pages)
    folder.remember(data_folder(os.environ), environ)
    start_functions(processes, port, environ, but=but)
    return environ


def start_functions(
    processes: Processes, port: int, environ: Mapping[str, str], *, but: Collection[str] = ()
) -> None:
    """Compile the crews, start API and worker, return when the API answers. Tells crews that are wrong."""
    # In a process of its own: this one has the compiler as it was when it began.
    subprocess.run([sys.executable, "-m", "infra.crews", "--quiet"], check=False)
    start_worker(processes, environ)
    processes.start(API, _api_command(port), environ=environ)

    def others_run() -> None:
        processes.check(but=but)

    processes.wait_until(API, lambda: answers_http(port), READY_SECONDS, meanwhile=others_run)


def start_worker(processes: Processes, environ: Mapping[str, str]) -> None:
    """Start the worker; it writes WORKER_READY when it has loaded CrewAI."""
    processes.start(WORKER, [sys.executable, "-m", "functions.crew_worker"], environ=environ)


def _api_command(port: int) -> list[str]:
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-access-log", "--no-server-header"]
    options += ["--log-level", "warning"]  # of uvicorn itself
    # Streams stay open for a minute: without this, stopping would wait for them.
    options += ["--timeout-graceful-shutdown", "1", "--lifespan", "off"]
    return [sys.executable, "-m", "uvicorn", "--factory", "infra.api:checked", *options]

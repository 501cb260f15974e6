"""What Vercel makes of this repository, by its own CLI, and its functions in its own Python runtime.

The CLI is installed from its lock in tests/js/vercel, once on a machine; nothing of it asks for an account.
"""

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.bundles.build import NoPythonError, target_python
from tests.fixtures_js import NPM, with_node
from tests.fixtures_servers import unavailable
from tests.hosts.test_vercel import ROOT, deployed

CLI = ROOT / "tests" / "js" / "vercel"
INSTALL_SECONDS, BUILD_SECONDS, START_SECONDS = 300, 300, 60
PROJECT = '{"projectId": "prj_none", "orgId": "team_none", "settings": {"framework": null}}'
QUIET = {"CI": "1", "VERCEL_TELEMETRY_DISABLED": "1", "VERCEL_PYTHON_DISABLE_RUNTIME_INSTALL": "1"}


def installed_cli() -> Path:
    """Return the command `vercel`, after installing it if need be."""
    lock, done = CLI / "package-lock.json", CLI / "node_modules" / ".installed"
    with (CLI / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != lock.read_text():
            # By the lock and its hashes; `npm ci` wants packages for other machines in it, which not
            # every registry has.
            command = [*NPM, "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
            try:
                subprocess.run(
                    command, cwd=CLI, env=with_node(os.environ), check=True, capture_output=True,
                    timeout=INSTALL_SECONDS,
                )  # fmt: skip
            except subprocess.SubprocessError as error:
                unavailable(error)
            done.write_text(lock.read_text())
    return CLI / "node_modules" / ".bin" / "vercel"


def with_tools(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which Vercel finds uv and a Python of the functions' version."""
    try:
        python = target_python()
    except NoPythonError as error:
        pytest.skip(str(error))
    found = Path(shutil.which(python) or python)
    folders = [ROOT / ".cache/tools/bin", ROOT / ".venv/bin"]
    uv = next(folder for folder in folders if (folder / "uv").exists())
    return {**environ, "PATH": f"{found.parent}:{uv}:{environ['PATH']}"}


def build(tree: Path) -> Path:
    """Build what .vercelignore lets through in a folder; return that folder, with its `.vercel/output`."""
    deployed(tree)
    (tree / ".vercel").mkdir()
    (tree / ".vercel" / "project.json").write_text(PROJECT)
    run = subprocess.run(
        [installed_cli(), "build", "--yes"], cwd=tree, env=with_tools(with_node(os.environ)) | QUIET,
        capture_output=True, text=True, timeout=BUILD_SECONDS, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    return tree


def config_of(built: Path, name: str) -> dict[str, Any]:
    """Return what the output says of a function."""
    file = built / ".vercel" / "output" / "functions" / "api" / f"{name}.func" / ".vc-config.json"
    return json.loads(file.read_text("utf-8"))


@contextmanager
def running(
    built: Path, names: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """Start functions as Vercel does, all at once, each from its own files alone; give their addresses."""
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(_started(built, name, folder, environ)) for name in names
        }
        # The runtime goes on saying things, and ends with its connection.
        said = {name: stack.enter_context(one.accept()[0]) for name, one in started.items()}
        yield {name: _address(connection) for name, connection in said.items()}


@contextmanager
def _started(
    built: Path, name: str, folder: Path, environ: Mapping[str, str]
) -> Iterator[socket.socket]:
    config = config_of(built, name)
    root = folder / name
    for target, path in config["filePathMap"].items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        os.link(built / path, root / target)
    entry = built / ".vercel/output/functions/api" / f"{name}.func/vc__handler__python.py"
    shutil.copy(entry, root)
    path, log = folder / f"{name}.sock", folder / f"{name}.log"
    with socket.socket(socket.AF_UNIX) as listener, log.open("wb") as out:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(START_SECONDS)
        process = subprocess.Popen(
            [target_python(), "vc__handler__python.py"],
            cwd=root, env={**environ, **config["environment"], "VERCEL_IPC_PATH": str(path)},
            stdout=out, stderr=out,
        )  # fmt: skip
        try:
            yield listener
        finally:
            process.kill()
            process.wait()


def _address(connection: socket.socket) -> str:
    """Return where the runtime says that it listens."""
    connection.settimeout(START_SECONDS)
    said = b""
    while not (started := re.search(rb'"httpPort": ?(\d+)', said)):
        received = connection.recv(65536)
        assert received, said
        said += received
    return f"http://127.0.0.1:{int(started[1])}"

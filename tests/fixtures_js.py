"""Other people's JavaScript, installed once from tests/js/package-lock.json and run under Node.

Where Node is missing, tests that need it are skipped; with CI=true they fail.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "js"
_INSTALL_SECONDS = 300

NodeRun = Callable[..., "subprocess.CompletedProcess[str]"]
NodeStart = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Install what tests run under Node; return its folder."""
    return npm_ci(FOLDER)


def npm_ci(folder: Path, *options: str) -> Path:
    """Install a folder's locked packages, unless they are there, one test process at a time; return where.

    npm writes its own list of what it has installed last of all.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("node and npm are needed: apt-get install nodejs npm")
        pytest.skip("node and npm are needed")
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            command = ["npm", "ci", "--no-audit", "--no-fund", *options]
            subprocess.run(
                command, cwd=folder, check=True, capture_output=True, timeout=_INSTALL_SECONDS
            )
    return folder / "node_modules"


@pytest.fixture(scope="session")
def run_node(node_modules: Path) -> NodeRun:
    """Run a script of tests/js to its end: `run_node("script.mjs", *arguments, timeout=30)`."""
    del node_modules

    def run(
        script: str, *arguments: str, timeout: float = 60, **more: Any
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["node", script, *arguments],
            cwd=FOLDER,
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
            **more,
        )

    return run


@pytest.fixture(scope="session")
def start_node(node_modules: Path) -> NodeStart:
    """Start a script of tests/js that stays, such as a proxy; the caller ends it."""
    del node_modules

    def start(script: str, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["node", script, *arguments],
            cwd=FOLDER,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start

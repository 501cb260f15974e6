"""`make demo` and `make dev` as processes, and what they print."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from infra.local.processes import free_port

EXAMPLES = Path("crews/import_mapping/examples")


def environ(tmp_path: Path, port: int) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "CREWLINE_DATA": str(tmp_path / "data"), "CREWLINE_PORT": str(port)}


def demo(tmp_path: Path, csv: Path | str, port: int | None = None):
    return subprocess.run(
        [sys.executable, "-m", "infra.local.demo", str(csv)],
        env=environ(tmp_path, port or free_port()),
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


def left_running(tmp_path: Path) -> str:
    """Processes that still name this test's data folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return "\n".join(line for line in listed.stdout.splitlines() if str(tmp_path) in line)


def kill_s3(parent: int) -> None:
    """Kill the S3 that a host has started, as soon as it has."""
    while not (pid := child(parent, "infra.local.s3")):
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)


def child(parent: int, module: str) -> int | None:
    command = ["ps", "--ppid", str(parent), "-o", "pid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = (line.split() for line in listed.splitlines())
    return next((int(pid) for pid, *arguments in lines if module in arguments), None)


@contextmanager
def dev(
    tmp_path: Path, port: int, code: Path | None = None, **settings: str
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "infra.local.dev"],
        env=environ(tmp_path, port) | settings, text=True, cwd=code,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def welcomed(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read the welcome; return the header of its token."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    token = next(line.split()[1] for line in lines if "token" in line)
    return {"authorization": f"Bearer {token}"}


def until(stream: IO[str] | None, words: str) -> str:
    """Read lines up to the one that has these words, and return it."""
    assert stream is not None
    return next(line for line in iter(stream.readline, "") if words in line)

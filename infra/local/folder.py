"""The data folder of a local run: nobody else's to read, and one server's at a time.

While a server runs, `running.json` has the environment of its functions, for commands in another
terminal.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.local.processes import LocalError

_LOCK = "lock"
_RUNNING = "running.json"


@contextmanager
def held(data: Path, who: str) -> Iterator[None]:
    """Keep the folder to this process; `who` tells others who holds it.

    Two stores that write one folder destroy it. The kernel lets go of the lock however the process
    ends. Raises LocalError.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    data.chmod(0o700)  # uploads and the store's file are in it
    lock = _taken(data)
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, who.encode(), 0)
        yield
    finally:
        (data / _RUNNING).unlink(missing_ok=True)
        os.close(lock)


def _taken(data: Path) -> int:
    lock = os.open(data / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 200).decode("utf-8", "replace").strip() or "another process"
        os.close(lock)
        raise LocalError(
            f"{data} is in use by {holder}: stop it, or set CREWLINE_DATA to another folder as well"
        ) from None
    return lock


def remember(data: Path, environ: Mapping[str, str]) -> None:
    """Write down how the functions find what they reach; the file is this user's alone."""
    ours = {name: value for name, value in environ.items() if os.environ.get(name) != value}
    path = data / _RUNNING
    path.touch(mode=0o600)
    path.write_text(json.dumps(ours))


def running(data: Path) -> dict[str, str]:
    """Return the environment of the functions of the server that runs. Raises LocalError."""
    try:
        return json.loads((data / _RUNNING).read_text())
    except OSError as error:
        raise LocalError(f"no make dev runs on {data}: start it, or set the settings") from error

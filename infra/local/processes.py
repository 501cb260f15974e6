"""Child processes of a local run: started by name, watched, and gone when their parent is.

Each child leads a process group of its own, so that Ctrl-C in a terminal reaches the parent alone
and stopping reaches grandchildren. `kill_with_parent.py` sees to it that none survives a killed parent.
Whatever goes wrong is a LocalError whose message is the one line a person needs.
"""

import asyncio
import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from infra.local import child_logs

_SUPERVISOR = Path(__file__).with_name("kill_with_parent.py")
_HOST = "127.0.0.1"
_POLL_SECONDS = 0.02
_WATCH_SECONDS = 0.1
_GRACE_SECONDS = 1.5
_PROBE_SECONDS = 0.5


class LocalError(Exception):
    """What went wrong on this machine; the message is one clear line that says what to do."""


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int  # where in the log what this child writes begins, in bytes
    parent_pipe: int  # the write end; the child is killed when it closes
    read_bytes: int = 0  # of what it has written, by `new_lines`

    def written(self, after: int = 0) -> bytes:
        """Return what this child has written after so many bytes; its log may begin with others'."""
        with self.log.open("rb") as log:
            log.seek(self.log_start + after)
            return log.read()

    def signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def wait_until(self, deadline: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))

    def new_lines(self) -> list[str]:
        whole, end, _ = self.written(self.read_bytes).rpartition(b"\n")
        self.read_bytes += len(whole + end)
        return (whole + end).decode("utf-8", "replace").splitlines()

    def end(self) -> None:
        """Kill what is left of the group; its guard goes when the parent_pipe closes."""
        self.signal_group(signal.SIGKILL)
        self.process.wait()
        os.close(self.parent_pipe)


class Processes:
    """The children of this process. Use as a context manager: leaving it stops them all.

    Output goes to `<data>/logs/<name>.log`. A start adds to it, below a line with the time, so that
    what a message refers to is still there; of what is older, the last MiB is kept.
    """

    def __init__(self, data: Path) -> None:
        self._logs = data / "logs"
        self._children: dict[str, _Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> int:
        """Start a child and return its process id; a dead one of the same name is replaced.

        `environ` is its whole environment, by default this process's. Raises LocalError where the
        name's child still runs.
        """
        self._reap(name)
        self._logs.mkdir(parents=True, exist_ok=True)
        child = _spawn(command, self._logs / f"{name}.log", environ, folder)
        self._children[name] = child
        return child.process.pid

    def wait_until(
        self,
        name: str,
        ready: Callable[[], bool],
        timeout_seconds: float = 10,
        *,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Block until the child is ready, however long between 0 and the time-out that takes.

        Raises LocalError when the child dies or is not ready in time, and what `meanwhile` raises,
        which is called at every look.
        """
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            self._check(name)
            meanwhile()
            if time.monotonic() > deadline:
                child = self._children[name]
                raise LocalError(
                    f"{name} was not ready after {timeout_seconds:g} s: {child_logs.last_words(child.written())};"
                    f" see {child.log}"
                )
            time.sleep(_POLL_SECONDS)
        self._check(name)  # else another program answered on its port

    def check(self, *, but: Collection[str] = ()) -> None:
        """Raise LocalError for a child that ended by itself, save those in `but`."""
        for name in self._children:
            if name not in but:
                self._check(name)

    async def watch(self, *, but: Collection[str] = ()) -> NoReturn:
        """Run until a child ends by itself, then raise LocalError; cancel it before stopping them."""
        while True:
            self.check(but=but)
            await asyncio.sleep(_WATCH_SECONDS)

    def ended(self, name: str) -> str | None:
        """Return how a child ended by itself, and its last words; None if it runs or was stopped."""
        child = self._children.get(name)
        code = None if child is None else child.process.poll()
        if child is None or code is None:
            return None
        words = "" if code < 0 else f": {child_logs.last_words(child.written())}"
        return f"{_how(code)}{words}; see {child.log}"

    def pid(self, name: str) -> int | None:
        """Return a child's process id; None if it was stopped."""
        child = self._children.get(name)
        return None if child is None else child.process.pid

    def has_written(self, name: str, words: str) -> bool:
        """Whether a child that was not stopped has these words in its log."""
        child = self._children.get(name)
        return child is not None and words.encode() in child.written()

    def new_lines(self, name: str) -> list[str]:
        """Return the whole lines that a child has written since this was last called for it."""
        child = self._children.get(name)
        return [] if child is None else child.new_lines()

    def stop(self, *names: str) -> None:
        """Stop the children named, or all: SIGTERM, and SIGKILL to what is left after 1.5 s."""
        chosen = [name for name in names or tuple(self._children) if name in self._children]
        children = [self._children.pop(name) for name in chosen]
        for child in children:
            child.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in children:
            child.wait_until(deadline)
            child.end()

    def kill(self, name: str) -> None:
        """End a child as a crash would: SIGKILL, without a word."""
        self._children.pop(name).end()

    def _reap(self, name: str) -> None:
        child = self._children.get(name)
        if child is None:
            return
        if child.process.poll() is None:
            raise LocalError(f"{name} is running already, as process {child.process.pid}")
        child.end()

    def _check(self, name: str) -> None:
        child = self._children[name]
        if (code := child.process.poll()) is not None:
            raise LocalError(
                f"{name} ended {_how(code)}: {child_logs.last_words(child.written())}; see {child.log}, then start again"
            )


def free_port() -> int:
    """Pick a TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return probe.getsockname()[1]


def require_free_port(port: int, setting: str) -> None:
    """Raise LocalError where the port cannot be listened on; `setting` is what chooses another."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections still linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            why = "taken" if error.errno == errno.EADDRINUSE else "not allowed"
            raise LocalError(
                f"port {port} is {why}: stop what uses it, or choose another with {setting}"
            ) from error


def is_listening(port: int) -> bool:
    """Whether something accepts TCP connections on 127.0.0.1:`port`."""
    try:
        socket.create_connection((_HOST, port), _PROBE_SECONDS).close()
    except OSError:
        return False
    return True


def answers_http(port: int, path: str = "/") -> bool:
    """Whether 127.0.0.1:`port` answers a GET with a status below 500."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.client.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _spawn(
    command: Sequence[str], log: Path, environ: Mapping[str, str] | None, folder: Path | None
) -> _Child:
    held, parent_pipe = os.pipe()
    supervised = [sys.executable, "-I", "-S", str(_SUPERVISOR), str(held), *command]
    log_start = child_logs.begin(log)
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                supervised,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                cwd=folder,
                pass_fds=(held,),
                start_new_session=True,
            )
    except BaseException:
        os.close(parent_pipe)
        raise
    finally:
        os.close(held)
    return _Child(process, log, log_start, parent_pipe)


def _how(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"

"""Profiling in a process of its own, so that a large file takes no time from other tenants.

Cutting rows is plain Python. In a thread of a worker it would hold the interpreter that everybody's
steps and heartbeats need, and nothing could end it. The process gets the file on its standard input
and no setting of this one, has bounded memory and processor time, comes after all others in the
queue for the processor, and is killed when the call's time is over. It needs no shared memory, which
AWS Lambda lacks. Starting it takes a quarter of a second, so small files are profiled in place.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crews.import_mapping.errors import BadCsv
from crews.import_mapping.profile import profile_sample
from crews.import_mapping.sample import Sample

IN_PLACE_BYTES = 1 << 16  # takes 0.1 s at most
CPU_SECONDS, MEMORY_BYTES = 20, 1 << 30
LOOK_SECONDS = 0.2  # between two looks at the time that is left
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG")
_TOO_MUCH = "The file takes too much time or memory to read; split it."
_places = threading.BoundedSemaphore(max(1, min(4, os.cpu_count() or 1)))


def profile(sample: Sample, seconds_left: Callable[[], float]) -> dict[str, Any]:
    """Return a Profile as JSON. Raises BadCsv, and TimeoutError when no time is left."""
    if len(sample.data) <= IN_PLACE_BYTES:
        return asdict(profile_sample(sample))
    with _place(seconds_left):
        answer = json.loads(_run(sample, seconds_left))
    if "refused" in answer:
        raise BadCsv(answer["refused"])
    return answer


@contextlib.contextmanager
def _place(seconds_left: Callable[[], float]) -> Iterator[None]:
    """Wait for one of the few places: more processes than processors would only hold memory."""
    while not _places.acquire(timeout=LOOK_SECONDS):
        _check(seconds_left)
    try:
        yield
    finally:
        _places.release()


def _check(seconds_left: Callable[[], float]) -> None:
    if seconds_left() <= 0:
        raise TimeoutError("the file was not read in time")


def _run(sample: Sample, seconds_left: Callable[[], float]) -> bytes:
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with tempfile.TemporaryFile() as file:
        file.write(sample.data)
        file.seek(0)
        with subprocess.Popen(  # noqa: S603 -- this module, by this interpreter
            [sys.executable, "-m", __name__, str(sample.size)],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kept | {"PYTHONPATH": paths},
        ) as process:
            try:
                return _answer(process, seconds_left)
            finally:
                process.kill()


def _answer(process: "subprocess.Popen[bytes]", seconds_left: Callable[[], float]) -> bytes:
    """Return what the process prints. Raises RuntimeError with its last words if it fails."""
    while True:
        _check(seconds_left)
        try:
            answer, errors = process.communicate(timeout=LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        if process.returncode in (-signal.SIGKILL, -signal.SIGXCPU):
            raise BadCsv(_TOO_MUCH)
        if process.returncode:
            raise RuntimeError(errors.decode(errors="replace").strip().rpartition("\n")[2])
        return answer


def _limit() -> None:
    """Come last, and end when there is too much to do; where the system takes such limits."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def main() -> None:
    """Profile the file on the standard input, which is the beginning of one of so many bytes."""
    _limit()
    try:
        answer = asdict(profile_sample(Sample(sys.stdin.buffer.read(), int(sys.argv[1]))))
    except BadCsv as refusal:
        answer = {"refused": str(refusal)}
    except MemoryError:
        answer = {"refused": _TOO_MUCH}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()

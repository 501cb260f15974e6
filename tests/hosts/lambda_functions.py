"""Functions on AWS Lambda as far as that is on this machine: a bundle, the host's Python, its own client.

Each is a process of its own that takes one invocation after the other, as an environment of Lambda is.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infra.bundles import packages
from tests.hosts.asking import Answer
from tests.hosts.runtime_api import BUFFERING, ROOT, STREAMING, Invoked, RuntimeApi, running

CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")
INVOCATION_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Code:
    """What runs a function: a command, and the folders that it imports from. The first is the function's own.

    `entry` is what it has in its module for this runtime.
    """

    command: tuple[str, ...]
    folders: tuple[Path, ...]
    entry: str = "handler"


FROM_SOURCE = Code(tuple(BUFFERING), (ROOT,))
STREAMED_FROM_SOURCE = Code(tuple(STREAMING), (ROOT,), "app")


def install_client(folder: Path) -> Path:
    """Put Lambda's client, of the lock's version, into a folder, for the Python of the functions."""
    packages.run_uv(
        "pip", "install", "--quiet", "--no-deps", "--python-version", packages.PYTHON,
        "--only-binary", ":all:", "--target", str(folder),
        *(f"{name}=={version(name)}" for name in CLIENT),
    )  # fmt: skip
    return folder


def environ_of(settings: Mapping[str, str], code: Code, home: Path) -> dict[str, str]:
    """Return the environment of a function: its settings, and nothing of ours."""
    return {
        **settings,
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": ":".join(map(str, code.folders)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@dataclass(frozen=True, slots=True)
class Functions:
    """Functions that run, by their names; each can be invoked, and its process killed."""

    apis: Mapping[str, RuntimeApi]
    processes: Mapping[str, "subprocess.Popen[bytes]"]

    def begin(self, function: str, event: Any) -> Invoked:
        """Have a function take an event."""
        return self.apis[function].invoke(event, INVOCATION_SECONDS)

    def invoke(self, function: str, event: Any) -> Any:
        """Return what a function returns for an event."""
        invoked = self.begin(function, event)
        assert invoked.done.wait(INVOCATION_SECONDS), "there is no answer"
        assert invoked.error is None, invoked.error
        assert not invoked.streamed
        return json.loads(invoked.body)

    def stream(self, function: str, event: Any) -> Answer:
        """Return the answer of a function that streams, when it has come to its end."""
        invoked = self.begin(function, event)
        told = invoked.answer(INVOCATION_SECONDS)
        assert invoked.streamed
        assert not invoked.broken
        return Answer(told.status, {k.lower(): v for k, v in told.headers.items()}, told.body)


@contextmanager
def started(
    names: Iterable[str], codes: Mapping[str, Code], settings: Mapping[str, str], home: Path
) -> Iterator[Functions]:
    """Start functions; a name may end in a number after a dash, for one more environment of it."""
    apis, processes = dict[str, RuntimeApi](), dict[str, "subprocess.Popen[bytes]"]()
    with ExitStack() as stack:
        for name in names:
            function = name.partition("-")[0]
            code = codes[function]
            handler = f"functions.{function}.{code.entry}"
            api = apis[name] = stack.enter_context(RuntimeApi())
            process = running(
                [*code.command, handler],
                api,
                environ_of(settings, code, home),
                handler=handler,
                root=code.folders[0],
            )
            processes[name] = stack.enter_context(process)
        yield Functions(apis, processes)

"""Functions on AWS Lambda as far as that is on this machine: a bundle, the host's Python, its own client.

Each is a process of its own that takes one invocation after the other, as an environment of Lambda is.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.hosts.runtime_api import BUFFERING, ROOT, Invoked, RuntimeApi, running

from infra.bundles import packages

CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")
INVOCATION_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Code:
    """What runs a function: a command, and the folders that it imports from. The first is the function's own."""

    command: tuple[str, ...]
    folders: tuple[Path, ...]


FROM_SOURCE = Code(tuple(BUFFERING), (ROOT,))


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
    processes: Mapping[str, "subprocess.Popen[str]"]

    def begin(self, function: str, event: Any) -> Invoked:
        """Have a function take an event."""
        return self.apis[function].invoke(event, INVOCATION_SECONDS)

    def invoke(self, function: str, event: Any) -> Any:
        """Return what a function returns for an event."""
        invoked = self.begin(function, event)
        assert invoked.done.wait(INVOCATION_SECONDS), "there is no answer"
        assert invoked.error is None, invoked.error
        return json.loads(invoked.body)


@contextmanager
def started(
    names: Sequence[str], codes: Mapping[str, Code], settings: Mapping[str, str], home: Path
) -> Iterator[Functions]:
    """Start functions; a name may end in a number after a dash, for one more environment of it."""
    apis, processes = dict[str, RuntimeApi](), dict[str, "subprocess.Popen[str]"]()
    with ExitStack() as stack:
        for name in names:
            function = name.partition("-")[0]
            code = codes[function]
            apis[name] = stack.enter_context(RuntimeApi())
            processes[name] = stack.enter_context(
                running(
                    [*code.command, f"functions.{function}.handler"],
                    apis[name],
                    environ_of(settings, code, home),
                    root=code.folders[0],
                )
            )
        yield Functions(apis, processes)

"""AWS' own Runtime Interface Emulator, which the wheel of aws-sam-cli carries: invokes a function as Lambda does.

It runs without Docker. Nothing else of that wheel is used, so it is in no lock; its hash is here.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from infra.bundles import packages
from infra.local.processes import free_port, is_listening
from tests.hosts.lambda_functions import INVOCATION_SECONDS, Code, environ_of

WHEEL = "aws-sam-cli==1.170.0 --hash=sha256:24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf --hash=sha256:5fbaadba4beada832ad6fba1edeb8a1b32bb7a8fcff28168e47f788064e4f878"
BINARY = "samcli/local/rapid/aws-lambda-rie-x86_64"
LIFE_SECONDS = 120  # after which it is ended, whatever becomes of the test
START_SECONDS = 20.0


def install(folder: Path) -> Path:
    """Put the emulator into a folder; return its path. Raises CalledProcessError where it cannot be had."""
    wanted = folder / "emulator.txt"
    wanted.write_text(WHEEL)
    packages.run_uv(
        "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--python-version", packages.PYTHON, "--target", str(folder / "wheel"), "--requirements", str(wanted),
    )  # fmt: skip
    binary = folder / "wheel" / BINARY
    binary.chmod(0o755)
    return binary


@contextmanager
def emulated(
    binary: Path, function: str, code: Code, settings: Mapping[str, str], home: Path
) -> Iterator[str]:
    """Run a function under the emulator; give the address to which events are posted."""
    port, runtime_port = free_port(), free_port()
    command = [
        "timeout", str(LIFE_SECONDS), str(binary),
        "--runtime-interface-emulator-address", f"127.0.0.1:{port}",
        "--runtime-api-address", f"127.0.0.1:{runtime_port}",
        *code.command, f"functions.{function}.handler",
    ]  # fmt: skip
    environ = environ_of(settings, code, home) | {
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(int(INVOCATION_SECONDS))
    }
    with (
        (home / f"{function}.log").open("wb") as log,
        subprocess.Popen(
            command,
            env=environ,
            cwd=code.folders[0],
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            while not is_listening(port):
                assert process.poll() is None, (home / f"{function}.log").read_text()
            yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        finally:
            os.killpg(process.pid, 9)


def invoke(address: str, event: Any) -> Any:
    """Return what the function returns for an event."""
    answer = httpx.post(address, json=event, timeout=INVOCATION_SECONDS)
    assert answer.status_code == 200, answer.text
    return answer.json()

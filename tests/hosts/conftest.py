"""What whole hosts need: bundles, and what AWS Lambda's Python has beside them."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.bundles import packages
from infra.bundles.build import Built, NoPythonError, build, target_python
from infra.bundles.contents import BUNDLES
from tests.fixtures_servers import unavailable

Make = Callable[..., Built]


@pytest.fixture(scope="session")
def python() -> Path:
    """A Python of the version on which the functions run."""
    try:
        return target_python()
    except NoPythonError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Make:
    """Make bundles, each once: for this machine, or for the host."""
    assert python, "bundles are compiled by it"
    out, made = tmp_path_factory.mktemp("bundles"), dict[tuple[str, packages.Machine], Built]()

    def once(function: str, machine: packages.Machine = packages.TWIN) -> Built:
        if (function, machine) not in made:
            try:
                zips = function in {"flow_status", "flow_events"}
                built = build(BUNDLES[function], machine, out / machine.platform, zips=zips)
            except subprocess.CalledProcessError as error:
                unavailable(error)
            made[function, machine] = built
        return made[function, machine]

    return once


@pytest.fixture(scope="session")
def of_the_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Lambda's Python has beside the bundle: boto3, here of the lock."""
    folder = tmp_path_factory.mktemp("host")
    exported = packages.run_uv(
        "export", "--quiet", "--frozen", "--no-header", "--no-emit-project", "--no-default-groups"
    )
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", exported, re.MULTILINE))
    needed = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
    packages.run_uv(
        "pip", "install", "--quiet", "--no-deps", "--python-version", packages.PYTHON,
        "--only-binary", ":all:", "--target", str(folder),
        *(f"{name}=={pins[name]}" for name in needed),
    )  # fmt: skip
    return folder

"""What whole hosts need: bundles, Vercel's build, a store and a bucket, and the answers of the dev host to compare with."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest

from infra.bundles import packages
from infra.bundles.build import Built, NoPythonError, build, target_python
from infra.bundles.contents import BUNDLES
from infra.local.processes import LocalError, Processes, answers_http, free_port
from tests.fixtures_servers import Rest, start_gateway, start_valkey, unavailable
from tests.hosts import lambda_functions, seeds, vercel_build
from tests.hosts.asking import Answer, Host, Line, play
from tests.hosts.host_kinds import OverHttp
from tests.hosts.lambda_functions import Code
from tests.hosts.request_tables import TABLE

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


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree that .vercelignore lets through, with its `.vercel/output`."""
    return vercel_build.build(tmp_path_factory.mktemp("vercel"))


@pytest.fixture(scope="session")
def of_bundles(
    make: Make, python: Path, of_the_host: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Code]:
    """Say how a function is run from its bundle, as on AWS Lambda, with what the host has beside it."""
    client = lambda_functions.install_client(tmp_path_factory.mktemp("client"))
    command = (str(python), "-P", "-m", "awslambdaric")
    return lambda name: Code(command, (make(name).folder, client, of_the_host))


class Place(NamedTuple):
    """The store and the bucket that all hosts share, and the settings that name them."""

    rest: Rest
    s3: str

    @property
    def settings(self) -> dict[str, str]:
        return self.settings_over(self.rest)

    def settings_over(self, rest: Rest) -> dict[str, str]:
        """Return the settings of functions over another store."""
        return seeds.settings(rest, self.s3)

    def answers(self, host: Host, table: Sequence[Line] = TABLE) -> dict[str, Answer]:
        """Have a host answer a table, for a tenant of its own."""
        return play(host, table, seeds.seeded(self.rest, self.s3))


@pytest.fixture(scope="session")
def place(gateway: Rest, s3: str) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seeds.AWS.items():
            patch.setenv(name, value)
        client: Any = boto3.client("s3", endpoint_url=s3)
        client.create_bucket(Bucket=seeds.BUCKET)
        yield Place(gateway, s3)


@pytest.fixture(scope="session")
def of_the_dev_host(place: Place, processes: Processes) -> dict[str, Answer]:
    """What the dev host answers."""
    port, name = free_port(), "dev-host"
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--factory",
        "infra.api:checked",
        "--port",
        str(port),
    ]
    processes.start(
        name, [*command, "--lifespan", "off", "--no-access-log"], environ=place.settings
    )
    processes.wait_until(name, lambda: answers_http(port), 60)
    try:
        return place.answers(OverHttp(lambda _: f"http://127.0.0.1:{port}"))
    finally:
        processes.stop(name)


@pytest.fixture
def store(processes: Processes, tmp_path: Path) -> Rest:
    """A store of a test's own: a sweep looks at the flows of all tenants."""
    try:
        return start_gateway(processes, start_valkey(processes, tmp_path / "valkey", free_port()))
    except LocalError as error:
        unavailable(error)

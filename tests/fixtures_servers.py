"""Real servers for tests, one set a test process: Valkey, the gateway, both in cluster mode, S3.

Where a server cannot start, tests that need it are skipped; with CI=true they fail.
"""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import httpx
import pytest

from infra.local import gateway as rest_gateway
from infra.local import valkey as valkey_server
from infra.local.processes import LocalError, Processes, free_port, is_listening

TOKEN = "token-of-the-tests"
_READY_SECONDS = 20


class Redis(NamedTuple):
    host: str
    port: int


class Rest(NamedTuple):
    url: str
    token: str


class RoughGateway(Rest):
    """A gateway whose conditions can be adjusted."""

    def adjust(self, **conditions: Any) -> None:
        """Set some of the fields of `infra.local.gateway.conditions.Conditions`."""
        headers = {"authorization": f"Bearer {self.token}"}
        httpx.post(f"{self.url}/-/conditions", json=conditions, headers=headers).raise_for_status()


def start_valkey(processes: Processes, folder: Path, port: int, *, cluster: bool = False) -> Redis:
    """Start (again) the server `valkey-<port>` with its data in `folder`."""
    name = f"valkey-{port}"
    processes.start(name, valkey_server.server_command(folder, port, cluster=cluster))
    processes.wait_until(name, lambda: valkey_server.is_ready(port), _READY_SECONDS)
    return Redis("127.0.0.1", port)


def start_gateway(processes: Processes, redis: Redis, replica: Redis | None = None) -> Rest:
    """Start a gateway in front of the server, on a free port; with a replica it can be adjusted."""
    port = free_port()
    name = f"gateway-{port}"
    environ = {**os.environ, rest_gateway.TOKEN_VARIABLE: TOKEN}
    command = rest_gateway.server_command(
        port, redis.port, replica_port=replica and replica.port, adjustable=replica is not None
    )
    processes.start(name, command, environ=environ)
    processes.wait_until(name, lambda: is_listening(port), _READY_SECONDS)
    return Rest(f"http://127.0.0.1:{port}", TOKEN)


def unavailable(error: Exception) -> NoReturn:
    """Skip the test, or fail it where servers must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(error))
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with Processes(tmp_path_factory.mktemp("servers")) as children:
        yield children


@pytest.fixture(scope="session")
def valkey(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Redis:
    try:
        return start_valkey(processes, tmp_path_factory.mktemp("valkey"), free_port())
    except LocalError as error:
        unavailable(error)


@pytest.fixture(scope="session")
def gateway(processes: Processes, valkey: Redis) -> Rest:
    try:
        return start_gateway(processes, valkey)
    except LocalError as error:
        unavailable(error)


@pytest.fixture(scope="session")
def _rough_gateway(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Rest:
    try:
        servers = [
            start_valkey(processes, tmp_path_factory.mktemp(name), free_port())
            for name in ("primary", "replica")
        ]
        return start_gateway(processes, *servers)
    except LocalError as error:
        unavailable(error)


@pytest.fixture
def rough_gateway(_rough_gateway: Rest) -> Iterator["RoughGateway"]:
    """A gateway with a store of its own, which a test can have lag, refuse, or serve few."""
    rough = RoughGateway(*_rough_gateway)
    yield rough
    rough.adjust(lag_ms=0, refuse=None, share=1.0, streams=None, request_bytes=10 * 1024 * 1024)


@pytest.fixture(scope="session")
def valkey_cluster(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Redis:
    """A cluster of one node that owns every slot, so that CROSSSLOT errors are real."""
    try:
        folder = tmp_path_factory.mktemp("cluster")
        server = start_valkey(processes, folder, free_port(), cluster=True)
        _assign_all_slots(server)
    except (LocalError, OSError) as error:
        unavailable(error)
    return server


@pytest.fixture(scope="session")
def cluster_gateway(processes: Processes, valkey_cluster: Redis) -> Rest:
    try:
        return start_gateway(processes, valkey_cluster)
    except LocalError as error:
        unavailable(error)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """URL of an S3 endpoint that keeps everything in memory."""
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 -- its import takes a second

        server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        server.start()
    except (ImportError, OSError) as error:
        unavailable(error)
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _assign_all_slots(server: Redis) -> None:
    with socket.create_connection(server, timeout=_READY_SECONDS) as connection:
        connection.sendall(b"CLUSTER ADDSLOTSRANGE 0 16383\r\n")
        deadline = time.monotonic() + _READY_SECONDS
        while b"cluster_state:ok" not in connection.recv(65_536):
            if time.monotonic() > deadline:
                raise LocalError("the cluster did not come up")
            time.sleep(0.05)
            connection.sendall(b"CLUSTER INFO\r\n")

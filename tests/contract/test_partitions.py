"""The number of partitions belongs to the store: another setting is refused before it loses a flow."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.partitions import PartitionCheck
from core.config import SettingsError
from infra.local.processes import Processes, free_port
from tests.fixtures_api import SECRET
from tests.fixtures_servers import Rest, start_gateway, start_valkey

SWEEP = """
from functions import sweep
class Context:
    aws_request_id = "r"
    def get_remaining_time_in_millis(self):
        return 9000
sweep.handler({}, Context())
"""


@pytest.fixture
def keys() -> Keyspace:
    return Keyspace(4, f"{uuid4().hex}-")


async def test_the_first_to_look_for_work_records_the_number(cluster_gateway: Rest, keys: Keyspace):
    redis = HttpRedis(cluster_gateway.url, cluster_gateway.token)
    for _ in range(2):
        await PartitionCheck(redis, keys).require()
    with pytest.raises(SettingsError, match=r"is 5, but .* begun with 4.*: set it to 4, or"):
        await PartitionCheck(redis, Keyspace(5, keys.prefix)).require()


async def test_a_process_asks_once(cluster_gateway: Rest, keys: Keyspace):
    redis = HttpRedis(cluster_gateway.url, cluster_gateway.token)
    check = PartitionCheck(redis, keys)
    await check.require()
    await redis.execute(["DEL", keys.partition_count()])
    await check.require()
    assert await redis.execute(["EXISTS", keys.partition_count()]) == 0


async def test_a_worker_and_a_sweep_with_another_number_do_not_begin(
    processes: Processes, tmp_path: Path
):
    gateway = start_gateway(processes, start_valkey(processes, tmp_path, free_port()))
    await PartitionCheck(HttpRedis(gateway.url, gateway.token), Keyspace(2)).require()
    environ = {
        **os.environ,
        "UPSTASH_REDIS_REST_URL": gateway.url,
        "UPSTASH_REDIS_REST_TOKEN": gateway.token,
        "CREWLINE_JWT_KEYS": f"k1:{SECRET}",
        "CREWLINE_BUCKET": "none",
        "CREWLINE_MODEL": "offline",
    }
    for command in (["-m", "functions.crew_worker"], ["-c", SWEEP]):
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, *command],
            env=environ, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert ran.returncode == 1
        assert "CREWLINE_PARTITIONS is 1, but this store was begun with 2" in ran.stderr

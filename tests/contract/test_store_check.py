"""What a store was begun with belongs to it: other partitions or another bucket are refused before they lose a flow."""

import asyncio
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.store_check import StoreCheck
from core.config import SettingsError
from infra.local.processes import Processes, free_port
from tests.fixtures_api import BUCKET, process_environ
from tests.fixtures_servers import Rest, start_gateway, start_valkey
from tests.qstash_stub import CURRENT, NEXT, TOKEN

CONTEXT = """
class Context:
    aws_request_id = "r"
    def get_remaining_time_in_millis(self):
        return 90_000
"""
SWEEP = f"""
from functions import sweep
{CONTEXT}
sweep.handler({{}}, Context())
"""
RETRAIN = f"""
from functions import retrain
{CONTEXT}
retrain.handler({{}}, Context())
"""
SQS = f"""
from functions import crew_worker
{CONTEXT}
message = {{"messageId": "m", "body": '{{"tenant": "t", "flow": "f"}}'}}
print(crew_worker.handler({{"Records": [message]}}, Context()))
"""
OVER_HTTP = """
import asyncio, httpx, sys
from functions import crew_worker
from tests.qstash_stub import Message, signature
message = Message("http://worker.test/v1/worker", b'{"tenant": "t", "flow": "f"}', 0)
async def post():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(crew_worker.app)) as client:
        headers = {"upstash-signature": signature(message)}
        answer = await client.post(message.address, content=message.body, headers=headers)
        return answer.status_code
sys.exit(asyncio.run(post()) == 500)  # and QStash will send it again
"""
ENTRIES = {
    "main": ["-m", "functions.crew_worker"],
    "sweep": ["-c", SWEEP],
    "retrain": ["-c", RETRAIN],
    "sqs": ["-c", SQS],
    "qstash": ["-c", OVER_HTTP],
}
QSTASH = {
    "CREWLINE_WORKER_URL": "http://worker.test/v1/worker",
    "QSTASH_TOKEN": TOKEN,
    "QSTASH_CURRENT_SIGNING_KEY": CURRENT,
    "QSTASH_NEXT_SIGNING_KEY": NEXT,
}


@pytest.fixture
def keys() -> Keyspace:
    return Keyspace(4, f"{uuid4().hex}-")


async def test_the_first_to_look_for_work_records_the_number(cluster_gateway: Rest, keys: Keyspace):
    redis = HttpRedis(cluster_gateway.url, cluster_gateway.token)
    for _ in range(2):
        await StoreCheck(redis, keys, "b").require()
    with pytest.raises(SettingsError, match=r"is 5, but .* begun with 4.*: set it to 4, or"):
        await StoreCheck(redis, Keyspace(5, keys.prefix), "b").require()


async def test_another_bucket_is_another_deployment_s_and_refused(
    cluster_gateway: Rest, keys: Keyspace
):
    redis = HttpRedis(cluster_gateway.url, cluster_gateway.token)
    prod, test = StoreCheck(redis, keys, "prod"), StoreCheck(redis, keys, "test")
    assert await test.trouble() == "", "nobody has begun it"
    await prod.require()
    assert await prod.trouble() == ""
    assert await test.trouble() == "the store is another deployment's"
    with pytest.raises(
        SettingsError, match=r"CREWLINE_BUCKET is test, .* begun with the bucket prod"
    ):
        await test.require()


async def test_a_store_of_an_earlier_version_is_whose_worker_comes_first(
    cluster_gateway: Rest, keys: Keyspace
):
    redis = HttpRedis(cluster_gateway.url, cluster_gateway.token)
    await redis.execute(["SET", keys.partition_count(), "4"])
    await StoreCheck(redis, keys, "prod").require()
    with pytest.raises(SettingsError, match="begun with the bucket prod"):
        await StoreCheck(redis, keys, "test").require()


async def test_who_is_refused_for_its_partitions_records_no_bucket(
    cluster_gateway: Rest, keys: Keyspace
):
    redis = HttpRedis(cluster_gateway.url, cluster_gateway.token)
    await redis.execute(["SET", keys.partition_count(), "5"])
    with pytest.raises(SettingsError, match="CREWLINE_PARTITIONS is 4"):
        await StoreCheck(redis, keys, "test").require()
    assert await redis.execute(["GET", keys.bucket()]) is None


async def test_a_bucket_that_has_moved_is_taken_when_its_key_is_deleted(
    cluster_gateway: Rest, keys: Keyspace
):
    redis = HttpRedis(cluster_gateway.url, cluster_gateway.token)
    await StoreCheck(redis, keys, "before").require()
    with pytest.raises(SettingsError, match=f"delete the store's key {keys.bucket()}"):
        await StoreCheck(redis, keys, "after").require()
    await redis.execute(["DEL", keys.bucket()])
    await StoreCheck(redis, keys, "after").require()


async def test_a_process_asks_once(cluster_gateway: Rest, keys: Keyspace):
    redis = HttpRedis(cluster_gateway.url, cluster_gateway.token)
    check = StoreCheck(redis, keys, "b")
    await check.require()
    await redis.execute(["DEL", keys.partition_count()])
    await check.require()
    assert await redis.execute(["EXISTS", keys.partition_count()]) == 0


OTHER_PARTITIONS = 2, BUCKET, "CREWLINE_PARTITIONS is 1, but this store was begun with 2"
OTHER_BUCKET = 1, "other", f"CREWLINE_BUCKET is {BUCKET}, but this store was begun with the bucket"


@pytest.mark.parametrize(
    ("entry", "partitions", "bucket", "refusal"),
    [*((entry, *OTHER_PARTITIONS) for entry in ENTRIES), ("sqs", *OTHER_BUCKET)],
)
async def test_no_entry_of_a_worker_or_a_sweep_begins_on_a_store_that_does_not_fit(
    entry: str, partitions: int, bucket: str, refusal: str, processes: Processes, tmp_path: Path
):
    other = start_gateway(processes, start_valkey(processes, tmp_path, free_port()))
    await StoreCheck(HttpRedis(other.url, other.token), Keyspace(partitions), bucket).require()
    environ = {
        **process_environ(other),
        "CREWLINE_MODEL": "offline",
        "CREWLINE_LEARNING_KEYS": "k:5e6f7a8b5e6f7a8b5e6f7a8b5e6f7a8b",
        **QSTASH,
    }
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *ENTRIES[entry]],
        env=environ, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 1
    assert refusal in ran.stderr

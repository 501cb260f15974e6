"""Flows over the real store, which the API's process serves; and a deployment that may break."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest

from core.adapters.upstash.http import HttpRedis
from infra.local import gateway as rest_gateway
from infra.local.processes import Processes, answers_http, free_port, is_listening
from tests.fixtures_api import SECRET, Api
from tests.fixtures_ports import Flows, over_redis
from tests.fixtures_servers import TOKEN, Redis, Rest

BUCKET = "clients"
KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
AWS = {name.upper(): value for name, value in KEYS.items()} | {"AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def flows(gateway: Rest) -> Flows:
    return over_redis(HttpRedis(gateway.url, gateway.token), gateway.url, gateway.token)


@dataclass(frozen=True)
class Deployment:
    """An API with a gateway of its own in front of the store that all tests share."""

    processes: Processes
    redis: Redis
    gateway_port: int
    api: Api

    def start_gateway(self) -> None:
        environ = {**os.environ, rest_gateway.TOKEN_VARIABLE: TOKEN}
        command = rest_gateway.server_command(self.gateway_port, self.redis.port)
        self.processes.start("own-gateway", command, environ=environ)
        self.processes.wait_until("own-gateway", lambda: is_listening(self.gateway_port), 20)

    def kill_gateway(self) -> None:
        self.processes.kill("own-gateway")

    def start_api(self, s3: str) -> None:
        port = int(self.api.url.rpartition(":")[2])
        environ = {
            **os.environ,
            **AWS,
            "UPSTASH_REDIS_REST_URL": f"http://127.0.0.1:{self.gateway_port}",
            "UPSTASH_REDIS_REST_TOKEN": TOKEN,
            "CREWLINE_JWT_KEYS": f"k1:{SECRET}",
            "CREWLINE_BUCKET": BUCKET,
            "CREWLINE_S3_ENDPOINT": s3,
        }
        command = [sys.executable, "-m", "uvicorn", "infra.api:app", "--port", str(port)]
        self.processes.start("own-api", [*command, "--lifespan", "off"], environ=environ)
        self.processes.wait_until("own-api", lambda: answers_http(port), 30)


@pytest.fixture
def deployment(processes: Processes, valkey: Redis, s3: str) -> Iterator[Deployment]:
    made = Deployment(processes, valkey, free_port(), Api(f"http://127.0.0.1:{free_port()}"))
    made.start_gateway()
    made.start_api(s3)
    yield made
    processes.stop("own-api", "own-gateway")


@pytest.fixture
def bucket(s3: str) -> str:
    """The endpoint of S3, with the bucket that deployments keep inputs in."""
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **KEYS)
    client.create_bucket(Bucket=BUCKET)
    return s3

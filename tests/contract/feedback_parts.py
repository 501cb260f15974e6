"""A log of feedback, in memory and over Redis, and what is given to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from core.adapters.memory import MemoryFeedbackLog
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.feedback import UpstashFeedbackLog
from core.adapters.upstash.http import HttpRedis
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.sdk import SdkRedis
from core.learning.feedback import Feedback, FeedbackLog
from tests.fixtures_ports import own_keys

T = "t"


TASK = "route"


@dataclass
class Log:
    """A log, and the Redis and keys it has, if any."""

    port: FeedbackLog
    redis: RetryingClient | None = None
    keys: Keyspace | None = None

    async def numbers(self, task: str = TASK, after: int = 0) -> list[tuple[int, str | None]]:
        found = await self.port.after(T, task, after, 1000)
        return [(one.number, one.feedback.id if one.feedback else None) for one in found]


@pytest.fixture(params=["memory", "upstash-sdk", "upstash-http", "upstash-cluster"])
def log(request: pytest.FixtureRequest) -> Log:
    if request.param == "memory":
        return Log(MemoryFeedbackLog())
    in_cluster = request.param == "upstash-cluster"
    rest = request.getfixturevalue("cluster_gateway" if in_cluster else "gateway")
    client = SdkRedis if request.param == "upstash-sdk" else HttpRedis
    redis, keys = RetryingClient(client(rest.url, rest.token)), own_keys()
    return Log(UpstashFeedbackLog(redis, keys), redis, keys)


def given(*ids: str, subject: str = "ana", **more: Any) -> Sequence[Feedback]:
    return [Feedback(one, {"message": f"é {one}"}, "pay", subject, **more) for one in ids]

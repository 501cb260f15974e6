"""What an answer costs Redis."""

from dataclasses import dataclass, field
from typing import Any

from core.adapters.memory import MemoryBlobs
from core.adapters.upstash.commands import Command, RetryingClient
from core.adapters.upstash.feedback import UpstashFeedbackLog
from core.adapters.upstash.http import HttpRedis
from core.learning.models.model_store import ModelStore
from core.learning.serving import Learners
from tests.contract.feedback_parts import TASK, T, given
from tests.contract.store_parts import KEYS
from tests.fixtures_ports import own_keys
from tests.fixtures_servers import Rest


@dataclass
class Counting:
    """The real client, which notes each command."""

    redis: RetryingClient
    sent: list[str] = field(default_factory=list[str])

    async def execute(self, command: Command) -> Any:
        self.sent.append(str(command[0]))
        return await self.redis.execute(command)

    async def pipeline(self, commands: Any) -> list[Any]:
        raise AssertionError(commands)


async def test_an_answer_of_a_warm_process_with_all_that_is_new_is_one_command(gateway: Rest):
    counting, keys = Counting(RetryingClient(HttpRedis(gateway.url, gateway.token))), own_keys()
    writer, log = UpstashFeedbackLog(counting.redis, keys), UpstashFeedbackLog(counting, keys)
    blobs = MemoryBlobs()
    learners = Learners(ModelStore(lambda: blobs, KEYS), log)
    await learners.recommend(T, TASK, {"message": "a"})
    for number in range(3):
        await writer.add(T, TASK, given(f"a{number}"))
        counting.sent.clear()
        answer = await learners.recommend(T, TASK, {"message": "a"})
        assert answer.position == number + 1
        assert counting.sent == ["XRANGE"]

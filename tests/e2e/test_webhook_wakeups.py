"""That who sends webhooks hears of what people do, over the store and real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from core import bootstrap
from core.adapters.http_webhooks import HttpWebhookSender
from core.adapters.upstash.commands import RetryingClient
from core.adapters.upstash.http import HttpPubSub, HttpRedis
from core.adapters.upstash.outbox import UpstashOutbox
from core.adapters.upstash.wake import RedisWakeListener
from core.webhooks.targets import Targets
from functions import crew_amp, crew_launch
from functions._worker import webhook_sending
from tests.e2e.apps import App, opened
from tests.fixtures_ports import over_redis, own_keys
from tests.fixtures_servers import Rest
from tests.webhook_parts import SECRET, Receiver, Story, receiving, until


@dataclass(frozen=True)
class Sleeper:
    """A flow that waits for a person, which was told; and a dispatcher that sleeps."""

    app: App
    tenant: str
    receiver: Receiver

    async def post(self, function: object, path: str, body: object = None) -> httpx.Response:
        async with self.app.client(function, tenant=self.tenant) as client:  # pyright: ignore[reportArgumentType] -- a module
            return await client.post(path, json=body)


@asynccontextmanager
async def asleep(rest: Rest, folder: Path) -> AsyncIterator[Sleeper]:
    commands = RetryingClient(HttpRedis(rest.url, rest.token))
    flows = over_redis(HttpRedis(rest.url, rest.token), rest.url, rest.token, keys=own_keys())
    async with receiving() as receiver:
        hosts = {flows.tenant: (receiver.url,)}
        with (
            opened(folder, webhook_hosts=hosts, webhook_secrets=(SECRET,)) as app,
            bootstrap.replace(
                flow_log=flows.log,
                ledger=flows.ledger,
                wake_queue=flows.wake_queue,
                outbox=UpstashOutbox(commands, flows.keys),
                webhook_sender=HttpWebhookSender(),
                webhook_targets=Targets(hosts),
            ),
        ):
            listener = RedisWakeListener(HttpPubSub(rest.url, rest.token))
            stopped = asyncio.Event()
            serving = asyncio.create_task(webhook_sending.run_dispatcher(stopped, listener))
            story = await Story(flows).launched(None, crew=f"{receiver.url}/crew")
            await story.finished("find", "drop")
            await story.finished("write", "Ah")
            await story.waits("write.review.1", "Ah")
            await until(lambda: receiver.kinds == ["crew"], seconds=20)
            await asyncio.sleep(0.5)
            yield Sleeper(app, flows.tenant, receiver)
            stopped.set()
            await asyncio.wait_for(serving, 5)


async def test_a_cancel_is_sent_at_once(gateway: Rest, tmp_path: Path):
    async with asleep(gateway, tmp_path) as sleeper:
        answer = await sleeper.post(crew_launch, "/v1/flows/f1/cancel")
        assert answer.status_code == 200
        await until(lambda: sleeper.receiver.kinds == ["crew"] * 2, seconds=2)
        assert sleeper.receiver.posts[-1].body["status"] == "error"


async def test_a_task_webhook_that_an_answer_adds_is_sent_at_once(gateway: Rest, tmp_path: Path):
    async with asleep(gateway, tmp_path) as sleeper:
        answer = await sleeper.post(
            crew_amp,
            "/amp/haiku/resume",
            {
                "execution_id": "f1",
                "task_id": "write",
                "human_feedback": "",
                "is_approve": True,
                "taskWebhookUrl": f"{sleeper.receiver.url}/task",
            },
        )
        assert answer.status_code == 200, answer.text
        await until(lambda: sleeper.receiver.kinds == ["crew", "task"], seconds=2)

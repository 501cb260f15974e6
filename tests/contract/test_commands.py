"""What both clients do: the SDK's and our own answer, refuse and fail alike."""

import asyncio
import re
from pathlib import Path

import pytest

from core.adapters.upstash.calls import FOLDER
from core.adapters.upstash.commands import CommandError, Commands, RetryingClient
from core.adapters.upstash.http import READS, HttpPubSub, HttpRedis
from core.adapters.upstash.sdk import SdkRedis
from core.errors import UnavailableError
from tests.faulty import faulty

CLIENTS = [SdkRedis, HttpRedis]


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, gateway) -> Commands:
    return request.param(gateway.url, gateway.token)


async def test_replies_are_json_as_the_rest_api_gives_it(client: Commands):
    await client.execute(["DEL", "h"])
    assert await client.execute(["HSET", "h", "name", "Jürgen 東京 \x1e", "n", 7]) == 2
    assert await client.execute(["HMGET", "h", "name", "n", "none"]) == [
        "Jürgen 東京 \x1e", "7", None,
    ]  # fmt: skip


async def test_a_pipeline_answers_in_order(client: Commands):
    assert await client.pipeline([["ECHO", "a"], ["ECHO", "b"]]) == ["a", "b"]


async def test_what_counts_as_a_read_are_all_commands_that_the_adapters_send_and_that_read(gateway):
    """So that the sync token of an answer to a read never takes the place of a write's.

    Commands are written as lists that begin with their names, whoever sends them.
    """
    sources = map(Path.read_text, FOLDER.parent.glob("*.py"))
    names = {name for text in sources for name in re.findall(r'\[\s*"([A-Z]{2,})"', text)}
    described = await HttpRedis(gateway.url, gateway.token).execute(["COMMAND", "INFO", *names])
    sent = {name.upper(): flags for name, _, flags, *_ in filter(None, described)}
    assert {"EVALSHA", "PUBLISH", "TIME"} < sent.keys()
    reading = {name for name, flags in sent.items() if "readonly" in flags}
    assert reading | {"TIME"} == READS  # the server has no flag for what reads no key


async def test_a_refused_command_says_its_code(client: Commands):
    with pytest.raises(CommandError) as refused:
        await client.execute(["EVALSHA", "0" * 40, 0])
    assert refused.value.code == "NOSCRIPT"
    with pytest.raises(CommandError):
        await client.execute(["NOSUCHCOMMAND"])


@pytest.mark.parametrize("make", CLIENTS)
async def test_a_wrong_token_is_the_operators_to_mend_and_passes(make, gateway):
    with pytest.raises(UnavailableError) as refused:
        await make(gateway.url, "wrong").execute(["PING"])
    assert refused.value.retry_after_seconds == 10
    with pytest.raises(UnavailableError):
        await make(gateway.url, "wrong").pipeline([["PING"]])


@pytest.mark.parametrize("make", CLIENTS)
async def test_nobody_there_is_unavailable(make):
    with pytest.raises(UnavailableError):
        await make("http://127.0.0.1:9", "token").execute(["PING"])


@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize("fault", ["drop", "refuse", "500", "503"])
async def test_a_fault_on_the_way_is_unavailable(make, fault: str, gateway):
    async with faulty(gateway.url, lambda: fault) as url:
        with pytest.raises(UnavailableError):
            await make(url, gateway.token).execute(["PING"])


@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize("fault", ["drop", "refuse", "500", "503"])
async def test_a_patient_client_asks_again(make, fault: str, gateway):
    faults = iter([fault, fault, "pass"])
    async with faulty(gateway.url, lambda: next(faults)) as url:
        assert await RetryingClient(make(url, gateway.token)).execute(["PING"]) == "PONG"


async def test_a_cancelled_command_leaves_its_answer_to_nobody(gateway):
    client = HttpRedis(gateway.url, gateway.token)
    for _ in range(20):
        call = asyncio.create_task(client.execute(["ECHO", "stale"]))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert await client.execute(["ECHO", "fresh"]) == "fresh"


async def test_many_commands_at_once_get_their_own_answers(client: Commands):
    texts = [f"text-{i}" for i in range(60)]
    assert await asyncio.gather(*(client.execute(["ECHO", text]) for text in texts)) == texts


async def test_a_subscriber_hears_what_is_published_after_it_entered(gateway):
    client = HttpRedis(gateway.url, gateway.token)
    subscriber = HttpPubSub(gateway.url, gateway.token)
    async with subscriber.subscribe("{t}:live:x") as messages:
        for text in ("one, two", "ä\x1e", ""):
            assert await client.execute(["PUBLISH", "{t}:live:x", text]) == 1
        assert [await anext(messages) for _ in range(3)] == ["one, two", "ä\x1e", ""]


async def test_a_wait_for_a_message_may_be_cancelled_without_losing_one(gateway):
    client = HttpRedis(gateway.url, gateway.token)
    subscriber = HttpPubSub(gateway.url, gateway.token)
    async with subscriber.subscribe("c") as messages:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(messages)
        await client.execute(["PUBLISH", "c", "still here"])
        assert await anext(messages) == "still here"


async def test_a_subscription_with_nobody_there_is_unavailable():
    with pytest.raises(UnavailableError):
        async with HttpPubSub("http://127.0.0.1:9", "token").subscribe("c"):
            pass


async def test_a_subscription_with_a_wrong_token_is_unavailable(gateway):
    with pytest.raises(UnavailableError):
        async with HttpPubSub(gateway.url, "wrong").subscribe("c"):
            pass

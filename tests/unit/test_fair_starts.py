"""Requests that come at once begin one by one for each client, so nobody waits for all of another's."""

import asyncio
from typing import Any

import pytest

from infra.container.fair_starts import FairStarts


class Begun:
    """An app that notes whose requests it was given, in which order."""

    def __init__(self) -> None:
        self.order = list[str]()

    async def __call__(self, scope: Any, *_: Any) -> None:
        self.order.append(scope["path"])


def request(app: Any, token: str, path: str, port: int | None = None) -> asyncio.Task[None]:
    """Send a request over the connection from a port; over one of its token's own if none is given."""
    headers = [(b"accept", b"*/*"), (b"authorization", token.encode())] if token else []
    client = ("127.0.0.1", port or token)
    scope = {"type": "http", "path": path, "headers": headers, "client": client}
    return asyncio.ensure_future(app(scope, None, None))


async def test_a_request_behind_a_thousand_of_another_client_begins_with_the_first_of_them():
    begun = Begun()
    app = FairStarts(begun)
    loud = [request(app, "loud", f"loud {number}") for number in range(1000)]
    await asyncio.gather(request(app, "quiet", "quiet"), *loud)
    assert begun.order.index("quiet") <= 1
    assert [name for name in begun.order if name != "quiet"] == [f"loud {n}" for n in range(1000)]


async def test_what_comes_in_the_middle_of_a_flood_waits_for_no_more_than_a_few():
    begun = Begun()
    app = FairStarts(begun)
    loud = [request(app, "loud", "loud") for _ in range(1000)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert 0 < len(begun.order) < 30
    before = len(begun.order)
    await request(app, "quiet", "quiet")
    assert begun.order.index("quiet") <= before + 3
    await asyncio.gather(*loud)


async def test_those_without_a_token_are_one_client():
    begun = Begun()
    app = FairStarts(begun)
    forged = [request(app, "", "nobody") for _ in range(100)]
    await asyncio.gather(request(app, "quiet", "quiet"), *forged)
    assert begun.order.index("quiet") <= 1


async def test_a_connection_has_one_turn_however_many_tokens_it_brings():
    begun = Begun()
    app = FairStarts(begun)
    forged = [request(app, str(number), "forged", 1) for number in range(1000)]
    for _ in range(5):
        await asyncio.sleep(0)
    before = len(begun.order)
    await request(app, "quiet", "quiet", 2)
    assert begun.order.index("quiet") <= before + 3
    await asyncio.gather(*forged)


async def test_over_one_connection_of_a_proxy_each_token_has_its_turn():
    begun = Begun()
    app = FairStarts(begun)
    loud = [request(app, "loud", "loud", 1) for _ in range(1000)]
    for _ in range(5):
        await asyncio.sleep(0)
    before = len(begun.order)
    await request(app, "quiet", "quiet", 1)
    assert begun.order.index("quiet") <= before + 5
    await asyncio.gather(*loud)


async def test_a_request_that_its_server_gives_up_takes_nobodys_turn_for_good():
    begun = Begun()
    app = FairStarts(begun)
    first, given_up, last = (request(app, "a", str(number)) for number in range(3))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(first, last)
    assert begun.order == ["0", "2"]
    with pytest.raises(asyncio.CancelledError):
        await given_up


async def test_what_is_no_request_waits_for_nothing():
    seen = list[Any]()

    async def app(scope: Any, *_: Any) -> None:
        seen.append(scope["type"])

    fair: Any = FairStarts(app)
    await fair({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]

"""Watching flows through the hub, whose subscriptions lose messages, go deaf, die, or never were."""

import asyncio

import pytest

from core.errors import NotFoundError, UnavailableError
from core.flows import hub, subscription
from tests.fixtures_ports import a_launch
from tests.live_parts import SOON, Counted, claimed, ended, seconds, seen, written


@pytest.mark.parametrize(
    ("heard", "renewed"),
    [
        pytest.param(lambda number: number % 3 == 0, False, id="two of three messages lost"),
        pytest.param(lambda number: False, True, id="half-open: nothing arrives"),  # noqa: ARG005
        pytest.param(lambda number: None if number % 7 == 0 else True, True, id="cut"),
    ],
)
async def test_nothing_is_lost_and_nothing_repeated(heard, renewed: bool):
    log = Counted(heard)
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = asyncio.create_task(seen(hub.Hub(log, SOON)))
    await written(log, claim, range(1, 31))
    last = await ended(log)
    assert await watching == list(range(1, last + 1))
    assert (log.asked.count("live") > 1) is renewed
    assert log.open == 0


async def test_where_there_is_no_subscription_the_log_is_polled_and_one_tried_again():
    log = Counted()
    log.missing = True
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = asyncio.create_task(seen(hub.Hub(log, SOON)))
    await written(log, claim, range(1, 31))
    log.missing = False
    await asyncio.sleep(SOON.subscribe_again + 0.2)
    assert log.open == 1
    await written(log, claim, range(31, 41))
    last = await ended(log)
    assert await watching == list(range(1, last + 1))


async def test_an_outage_in_the_middle_loses_nothing():
    log = Counted(lambda _: None if log.away else True)
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = asyncio.create_task(seen(hub.Hub(log, SOON)))
    await written(log, claim, range(1, 11))
    log.away = True
    await written(log, claim, range(11, 21))
    await asyncio.sleep(0.2)
    log.away = False
    await written(log, claim, range(21, 31))
    last = await ended(log)
    assert await watching == list(range(1, last + 1))


async def test_an_outage_at_the_start_is_told():
    log = Counted()
    await log.create("t", a_launch())
    log.away = True
    with pytest.raises(UnavailableError):
        await seen(hub.Hub(log, SOON))
    log.away = False
    assert await seen(hub.Hub(log, SOON), total=0.05) == [1, 2]


async def test_a_flow_that_is_not_there_is_not_found():
    with pytest.raises(NotFoundError):
        await seen(hub.Hub(Counted(), SOON))


async def test_a_hundred_viewers_share_one_subscription_and_one_reading():
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    log.asked.clear()
    watching = hub.Hub(log)  # whose silence is longer than this test
    viewers = [asyncio.create_task(seen(watching)) for _ in range(100)]
    await written(log, claim, range(1, 31))
    late = asyncio.create_task(seen(watching))
    await written(log, claim, range(31, 41))
    last = await ended(log)
    for viewer in [*viewers, late]:
        assert await viewer == list(range(1, last + 1))
    assert log.asked == ["head", "live", "entries"]
    assert log.open == 0


async def test_the_subscription_goes_with_the_last_viewer():
    log = Counted()
    await log.create("t", a_launch())
    watching = hub.Hub(log, SOON)
    viewers = [asyncio.create_task(seen(watching)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert log.open == 1
    for viewer in viewers:
        viewer.cancel()
    await asyncio.wait(viewers)
    assert log.open == 0
    assert watching.buffered() == {}


async def test_a_flow_that_has_ended_is_replayed_without_a_subscription():
    log = Counted()
    await log.create("t", a_launch())
    await written(log, await claimed(log), range(1, 11), pause=0)
    last = await ended(log)
    log.asked.clear()
    assert await seen(hub.Hub(log, SOON)) == list(range(1, last + 1))
    assert log.asked == ["head", "entries"]
    head = await log.head("t", "f1")
    async with hub.Hub(log, SOON).subscribe("t", "f1", head.cursor()) as viewer:
        assert viewer.ended
    async with hub.Hub(log, SOON).subscribe("t", "f1", head.cursor(last - 1)) as viewer:
        assert not viewer.ended


async def test_silence_yields_an_empty_batch():
    log = Counted()
    await log.create("t", a_launch())
    async with hub.Hub(log, SOON).subscribe("t", "f1", None) as viewer:
        items = viewer.items(seconds(10))
        assert len(await anext(items)) == 2
        assert await anext(items) == []


async def test_a_long_log_is_replayed_in_pages_and_joined_to_what_is_live(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(subscription, "PAGE_EVENTS", 4)
    monkeypatch.setattr(subscription, "BUFFER_EVENTS", 10)
    log = Counted()
    await log.create("t", a_launch())
    claim = await claimed(log)
    await written(log, claim, range(1, 41), pause=0)
    watching = asyncio.create_task(seen(hub.Hub(log, SOON)))
    await written(log, claim, range(41, 46))
    last = await ended(log)
    assert await watching == list(range(1, last + 1))


async def test_a_viewer_that_was_told_more_elsewhere_loses_nothing_to_a_subscription_that_lags():
    log = Counted(lambda _: False)
    await log.create("t", a_launch())
    claim = await claimed(log)
    watching = hub.Hub(log, SOON)
    first = asyncio.create_task(seen(watching))
    await asyncio.sleep(0.02)
    await written(
        log, claim, range(1, 4), pause=0
    )  # the subscription is deaf to these, for a while
    head = await log.head("t", "f1")
    second = asyncio.create_task(seen(watching, head.cursor(head.last_event - 1)))
    await asyncio.sleep(0.02)
    last = await ended(log)
    assert await second == list(range(head.last_event, last + 1))
    assert await first == list(range(1, last + 1))

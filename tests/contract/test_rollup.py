"""What was consumed, by day and hour, crew, task, agent, subject and model. Over all adapters."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from core.adapters.memory import MemoryFlows
from core.adapters.upstash.http import HttpRedis
from core.costs.cells import Cell
from core.costs.rollup import MOST_CELLS, MOST_HOUR_CELLS, NAMELESS, Names
from core.costs.spending_log import PIECE_CELLS
from core.costs.usage import Usage
from core.crews.ledger import Claim, FencedError
from tests.cells import cells_of
from tests.contract.test_call_ledger import USED, begun, begun_again, call, cell, end, spent, today
from tests.fixtures_ports import Flows

Fill = Callable[[int, bool], Awaitable[None]]
ONE = Usage(calls=1)


@pytest.fixture
def fill(flows: Flows, request: pytest.FixtureRequest) -> Fill:
    """Have so many cells in a day, or in its hours, each of a subject of its own."""

    async def filled(count: int, hours: bool) -> None:
        day, names = today(), [("c", "t", "a", f"s{n}", "m") for n in range(count)]
        if isinstance(flows.ledger, MemoryFlows):
            of_day = flows.ledger.day_sums(flows.tenant, day, hours=hours)
            of_day.sums |= {(3 if hours else None, each): ONE for each in names}
            return
        lags = request.node.callspec.params["flows"] == "upstash-lagging"
        rest = request.getfixturevalue("rough_gateway" if lags else "gateway")
        key, hour = flows.keys.spend(flows.tenant, day, hours=hours), "03|" if hours else ""
        for at in range(0, count, 1000):
            some = names[at : at + 1000]
            fields = [text for each in some for text in (hour + "|".join(each), '{"calls":1}')]
            await HttpRedis(rest.url, rest.token).execute(["HSET", key, *fields])

    return filled


async def used(flows: Flows, claim: Claim, number: int, **names: str) -> None:
    made = replace(call(claim, number), **names)
    await flows.calls.reserve(made)
    await flows.calls.settle(made, USED, [])


def new(cells: list[Cell]) -> list[tuple[Names, Usage]]:
    return [(each.names, each.usage) for each in cells if each.usage != ONE]


async def by_day_or_hour(flows: Flows, hours: bool) -> list[Cell]:
    return await cells_of(flows.spending, flows.tenant, [today()], hours=hours)


async def by_hour(flows: Flows) -> list[Cell]:
    return await by_day_or_hour(flows, True)


async def test_each_combination_of_names_is_a_cell_of_its_own(flows: Flows):
    claim = await begun(flows)
    for number, names in enumerate(
        [{}, {"crew": "b"}, {"task": "b"}, {"agent": "b"}, {"subject": "b"}, {"model": "b"}, {}]
    ):
        await used(flows, claim, number + 1, **names)
    cells = await spent(flows)
    assert len(cells) == 6
    assert {each.usage.calls for each in cells if each.names == call(claim).names} == {2}


async def test_the_hours_of_a_day_come_to_the_day(flows: Flows):
    claim = await begun(flows)
    await used(flows, claim, 1)
    await used(flows, claim, 2, model="with|bars|in it")
    hours, day = await by_hour(flows), await spent(flows)
    assert [each._replace(hour=None) for each in hours] == day
    assert all(each.hour is not None and 0 <= each.hour < 24 for each in hours)


async def test_days_are_read_together_and_in_order(flows: Flows):
    claim = await begun(flows)
    await used(flows, claim, 1, model="z")
    await used(flows, claim, 2, model="b")
    days = ["2020-02-29", today(), "2031-01-01"]
    cells = await cells_of(flows.spending, flows.tenant, days)
    assert [(each.day, each.names[-1]) for each in cells] == [(today(), "b"), (today(), "z")]


@pytest.mark.parametrize(("most", "hours"), [(MOST_CELLS, False), (MOST_HOUR_CELLS, True)])
async def test_however_many_names_a_day_has_its_cells_come_in_pieces(
    flows: Flows, fill: Fill, most: int, hours: bool
):
    await fill(most + most // 4, hours)
    while len(await by_day_or_hour(flows, hours)) < most + most // 4:
        pass  # a replica is behind
    pieces = flows.spending.pieces(
        flows.tenant, ["2020-02-29", today(), "2031-01-01"], list, hours=hours
    )
    found = [piece async for piece in pieces]
    assert all(len(piece) <= PIECE_CELLS for piece in found)
    cells = [(each.day, each.hour, each.names) for piece in found for each in piece]
    assert len(cells) == len({*cells}) == most + most // 4


async def test_a_late_answer_corrects_the_cells_that_its_bound_was_counted_in(flows: Flows):
    claim = await begun(flows, lease_ms=1)
    await flows.calls.reserve(call(claim))
    await begun_again(flows)
    assert [each.usage.lost_nanodollars for each in await by_hour(flows)] == [900_000]
    with pytest.raises(FencedError):
        await flows.calls.settle(call(claim), USED, [])
    assert [each.usage for each in await by_hour(flows)] == [USED]
    assert await spent(flows) == [cell("a/b|c", "one", USED)]


async def test_beyond_so_many_cells_new_ones_are_counted_without_their_subject(
    flows: Flows, fill: Fill
):
    claim = await begun(flows)
    await fill(MOST_CELLS - 1, False)
    await used(flows, claim, 1, subject="last")
    for number, subject in enumerate(["late", "later", "last"]):
        await used(flows, claim, number + 2, subject=subject)
    folded = replace(call(claim), subject="~").names
    assert new(await spent(flows)) == [
        (replace(call(claim), subject="last").names, USED + USED),
        (folded, USED + USED),
    ]
    await flows.calls.reserve(replace(call(claim, 7), subject="lost"))
    await end(flows)
    with pytest.raises(FencedError):
        await flows.calls.settle(replace(call(claim, 7), subject="lost"), USED, [])
    assert new(await spent(flows))[1] == (folded, USED + USED + USED)


@pytest.mark.parametrize(("most", "hours"), [(MOST_CELLS, False), (MOST_HOUR_CELLS, True)])
async def test_and_beyond_a_quarter_more_without_any_name(
    flows: Flows, fill: Fill, most: int, hours: bool
):
    claim = await begun(flows)
    await fill(most + most // 4 - 1, hours)
    for number, task in enumerate(["x", "y", "z", "x"]):
        await used(flows, claim, number + 1, task=task)
    cells = await cells_of(flows.spending, flows.tenant, [today()], hours=hours)
    assert new(cells) == [
        (replace(call(claim), task="x", subject="~").names, USED + USED),
        (NAMELESS, USED + USED),
    ]
    assert sum(each.usage.calls for each in cells) == most + most // 4 - 1 + 4


async def test_facts_are_added_to_the_sums_of_the_day_and_to_nothing_else(flows: Flows):
    claim = await begun(flows)
    for number in (1, 2):
        await flows.calls.reserve(call(claim, number))
        await flows.calls.settle(call(claim, number), USED, [], {"tries": 1, "out_n_5": number})
    await used(flows, claim, 3)
    [day], [hour] = await spent(flows), await by_hour(flows)
    assert (day.facts, day.usage.calls) == ({"tries": 2, "out_n_5": 3}, 3)
    [[told]] = [piece async for piece in flows.spending.pieces(flows.tenant, [today()], list)]  # fmt: skip
    assert (told.names, told.stored) == (day.names, {**day.usage.public(), **day.facts})
    assert hour == Cell.of(day.day, hour.hour, day.names, day.usage)
    state = await flows.ledger.state(flows.tenant, "f1")
    assert state.public()["usage"] == (USED + USED + USED).public()


async def test_a_late_answer_brings_its_facts(flows: Flows):
    claim = await begun(flows, lease_ms=1)
    await flows.calls.reserve(call(claim))
    await begun_again(flows)
    for _ in range(2):
        with pytest.raises(FencedError):
            await flows.calls.settle(call(claim), USED, [], {"tries": 1})
    assert [each.facts for each in await spent(flows)] == [{"tries": 1}]

"""Workers killed between the write of a large value and what refers to it, over S3's protocol."""

import asyncio
from typing import Any

import boto3
import pytest

from core.crews.control import FlowControl
from core.flows import Status
from tests import invariants
from tests.fault_crews import expected, in_a_row
from tests.fleet import Place, fleet

PADDING = 40_000
RESULTS = ("results/one/1", "results/two/2", "results/three/1")  # step two was begun twice
UNDISTURBED = ("results/one/1", "results/two/1", "results/three/1")


def stored(place: Place) -> set[str]:
    """Return the objects of f1, those of all tenants, by what follows its incarnation."""
    client: Any = boto3.client("s3", endpoint_url=place.environ["CREWLINE_S3_ENDPOINT"])
    listed = client.list_objects_v2(Bucket=place.environ["CREWLINE_BUCKET"]).get("Contents", [])
    own = f"{place.flows.tenant}/flows/f1/{'0' * 8}/"
    assert all(each["Key"].startswith(own) for each in listed)
    return {each["Key"].removeprefix(own) for each in listed}


async def answered(place: Place) -> bool:
    """Approve what f1 waits with, if it waits."""
    state = await place.flows.ledger.state(place.flows.tenant, "f1")
    if state.head.status is not Status.WAITING:
        return False
    assert (state.waiting or {})["output"] is None
    await FlowControl(place.flows.ledger, place.wake_queue).resume(tenant=place.flows.tenant, flow="f1",
        approve=True, feedback="", review="two.review.1",
    )  # fmt: skip
    return True


@pytest.mark.parametrize(
    ("trip", "left"),
    [
        ("storing@two:1", {*RESULTS, "output"}),
        ("stored@two:1", {*RESULTS, "results/two/1", "output"}),
        ("committed@two:1", {*UNDISTURBED, "output"}),
        ("storing@output:1", {*UNDISTURBED, "output"}),
        ("stored@output:1", {*UNDISTURBED, "output"}),
        ("stored@draft:1", {*UNDISTURBED, "drafts/two.review.1", "output"}),
    ],
)
async def test_a_worker_killed_while_it_stores_a_large_value_leaves_nothing_wrong_or_behind(
    trip: str, left: set[str], a_place
):
    crew, waits = in_a_row(human_input="draft" in trip), "draft" in trip
    place: Place = a_place("due-set", bucket=True)
    async with fleet(place, trips=[trip], padding=PADDING) as workers:
        await place.launch(crew)
        if waits:
            await workers.until(lambda: answered(place))
        await workers.ended()
        assert workers.kills == 1
    (told,) = await invariants.check(place, kills=1)
    invariants.succeeded(told, expected(crew, padding=PADDING))
    assert max(len(str(event)) for event in told.events) < 32 * 1024
    assert await asyncio.to_thread(stored, place) == left
    assert place.blobs is not None
    await FlowControl(place.flows.ledger, place.wake_queue).delete(
        place.blobs, tenant=place.flows.tenant, flow="f1"
    )
    assert await asyncio.to_thread(stored, place) == set()

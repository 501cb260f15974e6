"""What the client for Python does beside following: launching, answering, storing and deleting."""

import itertools
from pathlib import Path

import boto3
import pytest

from clients.crewline import AsyncCrewline, Crewline, CrewlineError, FlowFailedError
from core.flows import Status, events
from tests.clients.conftest import BUCKET, KEYS, Deployment
from tests.clients.network import Asked, Fate, Pass, network
from tests.clients.stories import begun, ended, tell, token
from tests.fixtures_api import Api
from tests.fixtures_ports import Flows


def test_an_address_without_a_scheme_is_refused_at_once():
    with pytest.raises(ValueError, match="https://"):
        AsyncCrewline("api.example.com", "token")


async def test_a_state_that_has_not_changed_is_not_sent_again(api: Api, flows: Flows):
    await begun(flows)
    seen: list[str | None] = []

    def notice(asked: Asked) -> Fate:
        seen.append(asked.headers.get("if-none-match"))
        return Pass()

    async with network(api.url, notice) as url, AsyncCrewline(url, token(api, flows)) as client:
        first = await client.state("f1")
        assert await client.state("f1") == first
    assert seen[0] is None
    assert seen[1] is not None


async def test_a_launch_whose_answer_is_lost_is_made_once(api: Api, flows: Flows):
    keys: list[str] = []

    def lossy(asked: Asked) -> Fate:
        keys.append(asked.headers["idempotency-key"])
        return Pass(0) if len(keys) == 1 else Pass()

    async with network(api.url, lossy) as url, AsyncCrewline(url, token(api, flows)) as client:
        flow = await client.launch("research_brief", {"question": "q", "notes": "n"})
    assert len(set(keys)) == 1
    assert [line.id for line in await flows.log.recent(flows.tenant, 10)] == [flow]


@pytest.mark.usefixtures("bucket")
async def test_an_ended_flow_is_deleted_and_one_that_is_not_there_is_no_error(
    deployment: Deployment, flows: Flows
):
    await begun(flows)
    async with AsyncCrewline(deployment.api.url, token(deployment.api, flows)) as client:
        with pytest.raises(CrewlineError, match="cancel it first"):
            await client.delete("f1")
        await client.cancel("f1")
        for _ in range(2):
            await client.delete("f1")
        with pytest.raises(CrewlineError) as gone:
            await client.state("f1")
    assert gone.value.status == 404


@pytest.mark.usefixtures("bucket")
async def test_an_upload_is_deleted(deployment: Deployment, flows: Flows):
    async with AsyncCrewline(deployment.api.url, token(deployment.api, flows)) as client:
        uploaded = await client.upload(b"a,b")
        for _ in range(2):
            await client.delete_input(uploaded)


async def test_a_flow_is_cancelled_once_and_whoever_follows_it_is_told(api: Api, flows: Flows):
    await begun(flows)
    async with AsyncCrewline(api.url, token(api, flows)) as client:
        first = await client.cancel("f1")
        assert first["status"] == "cancelled"
        assert await client.cancel("f1") == first
        with pytest.raises(FlowFailedError, match="cancelled by request"):
            await client.result("f1")


async def test_a_flow_that_waits_is_answered_and_the_answer_is_known(api: Api, flows: Flows):
    await begun(flows)
    waiting = {"review": "one.review.1", "task": "one", "step": "one", "agent": "A", "output": "x"}
    told = events.custom("waiting", waiting)
    await flows.ledger.transition(
        flows.tenant, "f1", Status.WAITING, status_epoch=0, events=told, waiting=waiting
    )
    async with AsyncCrewline(api.url, token(api, flows)) as client:
        assert (await client.state("f1"))["waiting"] == waiting
        state = await client.resume("f1", review="one.review.1", approve=False, feedback="shorter")
        assert (state["status"], state["waiting"]) == ("running", None)
        with pytest.raises(CrewlineError, match="409"):
            await client.resume("f1", review="one.review.1", approve=True)
    results = (await flows.ledger.state(flows.tenant, "f1")).results
    assert results["one.review.1"]["raw"] == "shorter"


async def test_the_result_is_the_output_or_the_reason_why_there_is_none(api: Api, flows: Flows):
    await begun(flows)
    await ended(flows)
    await begun(flows, "f2")
    failed = events.run_error("no luck", "step")
    await flows.ledger.transition(
        flows.tenant, "f2", Status.FAILED, status_epoch=0, events=failed, error="no luck"
    )
    await begun(flows, "f3")
    async with AsyncCrewline(api.url, token(api, flows)) as client:
        assert await client.result("f1") == "done"
        with pytest.raises(FlowFailedError, match="no luck"):
            await client.result("f2")
        with pytest.raises(TimeoutError):
            await client.result("f3", timeout_seconds=0.5)


async def test_the_blocking_face_does_the_same_while_a_loop_is_running(api: Api, flows: Flows):
    claim = await begun(flows)
    await tell(flows, claim, range(1, 6))
    await ended(flows)
    with Crewline(api.url, lambda: token(api, flows)) as client:
        following = client.follow("f1")
        some = list(itertools.islice(following, 3))
        rest = list(following)
        assert following.state == client.state("f1")
        assert client.result("f1") == "done"
        [listed] = client.call("GET", "/v1/flows", params={"limit": 1}).json()["flows"]
        assert listed["id"] == "f1"
        with pytest.raises(CrewlineError, match="404"):
            list(client.follow("nope"))
    assert [e["type"] for e in some] == ["RUN_STARTED", "STATE_SNAPSHOT", "STATE_DELTA"]
    assert rest[-1]["type"] == "RUN_FINISHED"
    assert len(some + rest) == 3 + 1 + 5 + 1 + 2


@pytest.mark.parametrize("size", [10, 5 * 1024**2])
async def test_an_input_is_stored_whole_from_memory_or_from_a_file(
    tmp_path: Path, flows: Flows, deployment: Deployment, bucket: str, size: int
):
    data = bytes(range(10)) * (size // 10)
    path = tmp_path / "input.csv"
    path.write_bytes(data)
    async with AsyncCrewline(deployment.api.url, token(deployment.api, flows)) as client:
        names = [await client.upload(data), await client.upload(path)]
    s3 = boto3.client("s3", endpoint_url=bucket, region_name="us-east-1", **KEYS)
    for name in names:
        stored = s3.get_object(Bucket=BUCKET, Key=f"{flows.tenant}/{name}")["Body"].read()
        assert stored == data

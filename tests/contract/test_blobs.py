"""What every BlobStore does: in memory and over S3 (moto's server)."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import boto3
import httpx
import pytest

from core.adapters import s3 as s3_adapter
from core.adapters.crewai.stop_signal import StopSignal
from core.adapters.crewai.tools import StepContext
from core.adapters.memory import MemoryBlobs, MemoryFlows
from core.adapters.s3 import S3Blobs
from core.blobs import BlobStore, in_thread
from core.config import SettingsError
from core.crews.definition import Registry
from core.crews.launch import Launcher, LaunchRequest
from core.errors import ConflictError, NotFoundError, TooLargeError, UnavailableError
from core.flows.values import LargeValues
from infra.local.processes import Processes, free_port, is_listening
from infra.local.s3 import server_command
from tests.clients.network import Asked, Fate, Pass, network

BUCKET = "inputs"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(params=["memory", "s3", "local"])
def blobs(request: pytest.FixtureRequest) -> Iterator[BlobStore]:
    if request.param == "memory":
        yield MemoryBlobs()
        return
    request.getfixturevalue("aws")
    endpoint = request.getfixturevalue("s3" if request.param == "s3" else "local_s3")
    if request.param == "s3":
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
    yield S3Blobs(BUCKET, endpoint)


@pytest.fixture(scope="module")
def local_s3(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The S3 endpoint of local runs, which keeps everything in a folder."""
    port = free_port()
    processes.start("s3", server_command(tmp_path_factory.mktemp("s3"), port, BUCKET))
    processes.wait_until("s3", lambda: is_listening(port), 20)
    return f"http://127.0.0.1:{port}"


def test_what_was_put_is_read_back(blobs: BlobStore):
    blobs.put("t", "in_1", b"a\x00\xff" * 1000, "text/csv")
    with blobs.open("t", "in_1") as stream:
        assert stream.read() == b"a\x00\xff" * 1000
    assert blobs.size("t", "in_1") == 3000


def test_another_tenants_blob_is_not_there(blobs: BlobStore):
    blobs.put("t", "in_2", b"mine", "text/csv")
    for tenant, blob in (("u", "in_2"), ("t", "in_none")):
        with pytest.raises(NotFoundError):
            blobs.open(tenant, blob)
        with pytest.raises(NotFoundError):
            blobs.size(tenant, blob)


def test_what_was_deleted_is_gone_and_may_be_deleted_again(blobs: BlobStore):
    blobs.put("t", "in_4", b"data", "text/csv")
    for _ in range(2):
        blobs.delete("t", "in_4")
        with pytest.raises(NotFoundError):
            blobs.size("t", "in_4")


def test_the_ids_under_a_prefix_are_told_however_many_and_no_other_tenants(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(s3_adapter, "LISTED", 5)
    own = {f"learning/route/segments/{n}" for n in range(12)}
    for blob in own:
        blobs.put("names", blob, b"x", "text/csv")
    blobs.put("names", "learning/router/segments/1", b"x", "text/csv")
    blobs.put("name", "learning/route/segments/x", b"x", "text/csv")
    assert sorted(blobs.names("names", "learning/route/")) == sorted(own)
    assert blobs.names("names", "nothing/") == []


def test_all_of_a_prefix_is_deleted_and_nothing_of_another_tenant(blobs: BlobStore):
    gone = [("t", "flows/f1/a"), ("t", "flows/f1/b/c")]
    kept = [("t", "flows/f11/a"), ("u", "flows/f1/a"), ("t", "in_5")]
    for tenant, blob in gone + kept:
        blobs.put(tenant, blob, b"data", "text/csv")
    for _ in range(2):
        blobs.delete_all("t", "flows/f1/")
    for tenant, blob in gone:
        with pytest.raises(NotFoundError):
            blobs.size(tenant, blob)
    assert [blobs.size(tenant, blob) for tenant, blob in kept] == [4, 4, 4]


def test_a_blob_is_read_again_only_if_it_has_changed(blobs: BlobStore):
    blobs.put("t", "in_6", b"one", "text/csv")
    first = blobs.read("t", "in_6", 100)
    assert first is not None
    assert first.data == b"one"
    assert blobs.read("t", "in_6", 100, first.etag) is None
    blobs.put("t", "in_6", b"two", "text/csv")
    second = blobs.read("t", "in_6", 100, first.etag)
    assert second is not None
    assert (second.data, second.etag != first.etag) == (b"two", True)
    with pytest.raises(NotFoundError):
        blobs.read("t", "in_none", 100, first.etag)


def test_a_blob_that_is_larger_than_was_asked_for_is_not_read(blobs: BlobStore):
    blobs.put("t", "in_7", b"x" * 101, "text/csv")
    with pytest.raises(TooLargeError):
        blobs.read("t", "in_7", 100)


def test_of_two_who_change_a_blob_the_second_is_told(blobs: BlobStore):
    blobs.delete("t", "in_8")
    first = blobs.swap("t", "in_8", b"one", "text/csv", None)
    with pytest.raises(ConflictError):
        blobs.swap("t", "in_8", b"other", "text/csv", None)
    second = blobs.swap("t", "in_8", b"two", "text/csv", first)
    with pytest.raises(ConflictError):
        blobs.swap("t", "in_8", b"other", "text/csv", first)
    found = blobs.read("t", "in_8", 100)
    assert found is not None
    assert (found.data, found.etag) == (b"two", second)
    blobs.delete("t", "in_8")
    with pytest.raises(ConflictError):
        blobs.swap("t", "in_8", b"other", "text/csv", second)


@pytest.mark.usefixtures("aws")
def test_a_presigned_url_takes_the_upload(s3: str):
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket=BUCKET)
    blobs = S3Blobs(BUCKET, s3)
    url = blobs.upload_url("t", "in_3", 4, 60)
    assert httpx.put(url, content=b"data").status_code == 200
    assert blobs.size("t", "in_3") == 4


@pytest.mark.usefixtures("aws")
def test_a_store_that_is_away_is_unavailable():
    with pytest.raises(UnavailableError):
        S3Blobs(BUCKET, "http://127.0.0.1:9").size("t", "in_1")


@pytest.mark.usefixtures("aws")
def test_a_missing_bucket_is_the_operators_error_and_says_so(s3: str):
    blobs = S3Blobs("no-such-bucket", s3)
    calls: list[Callable[[], object]] = [
        lambda: blobs.put("t", "in_1", b"data", "text/csv"),
        lambda: blobs.open("t", "in_1"),
        lambda: blobs.size("t", "in_1"),
        lambda: blobs.delete("t", "in_1"),
        lambda: blobs.delete_all("t", "flows/f1/"),
    ]
    for call in calls:
        with pytest.raises(SettingsError, match="no-such-bucket"):
            call()


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """An endpoint that takes requests and says nothing."""
    async with asyncio.timeout(60):
        held = list[asyncio.StreamWriter]()
        server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1")
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        for writer in held:
            writer.transport.abort()


def other_threads() -> int:
    """How many threads are neither in the pool of blobs nor in the common one."""
    names = [thread.name for thread in threading.enumerate()]
    return sum(not name.startswith(("blobs", "asyncio")) for name in names)


@pytest.mark.usefixtures("aws")
async def test_launches_go_on_without_a_store_that_hangs_and_take_no_thread_of_others(silent: str):
    blobs, flows = S3Blobs(BUCKET, silent), MemoryFlows()
    launcher = Launcher(flows, flows, Registry(ROOT / "crews"), lambda: blobs)
    requests = [LaunchRequest("import_mapping", {"file": f"in_{n:032x}"}) for n in range(20)]
    launches = [asyncio.create_task(launcher.launch("t", each, None)) for each in requests]
    await asyncio.sleep(0.2)
    await asyncio.to_thread(int)
    assert not any(each.done() for each in launches)  # the common pool is free meanwhile
    launched = await asyncio.gather(*launches)
    assert all(new for _, new in launched)


@pytest.mark.usefixtures("aws")
async def test_a_store_that_hangs_has_a_total_limit_and_takes_no_thread_of_others(
    silent: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("core.blobs.TOTAL_SECONDS", 2)
    blobs, before = S3Blobs(BUCKET, silent), other_threads()
    calls = [asyncio.create_task(in_thread(blobs.size, "t", f"in_{n}")) for n in range(40)]
    await asyncio.sleep(0.1)
    await asyncio.to_thread(int)
    assert not any(each.done() for each in calls)  # the common pool is free meanwhile
    assert other_threads() <= before  # and a call takes one thread
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, UnavailableError) for outcome in outcomes)


@pytest.mark.usefixtures("aws")
async def test_a_tool_is_told_in_time_that_the_store_hangs(
    silent: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("core.blobs.TOTAL_SECONDS", 0.3)
    context = StepContext(S3Blobs(BUCKET, silent), "t", frozenset(), print, StopSignal())
    for look in (context.open, context.size):
        async with asyncio.timeout(3):
            with pytest.raises(UnavailableError):
                await asyncio.to_thread(look, f"in_{1:032x}")


@pytest.mark.usefixtures("aws")
async def test_an_object_that_is_cut_is_not_taken_for_a_shorter_one_and_is_read_again(s3: str):
    boto3.client("s3", endpoint_url=s3).create_bucket(Bucket=BUCKET)
    text, seen = "x" * 300_000, list[str]()

    def cut_twice(asked: Asked) -> Fate:
        seen.append(asked.method)
        return Pass(100_000) if len(seen) <= 2 else Pass()

    kept = await LargeValues(lambda: S3Blobs(BUCKET, s3)).keep("t", "flows/f/0/output", text)
    async with network(s3, cut_twice) as url:
        cut = S3Blobs(BUCKET, url)
        stream = await in_thread(cut.open, "t", kept.blob)
        with pytest.raises(UnavailableError, match="in the middle"):
            await in_thread(stream.read)
        assert await LargeValues(lambda: cut).load("t", kept) == text
    assert seen == ["GET"] * 3

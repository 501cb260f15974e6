"""What every BlobStore does: in memory and over S3 (moto's server)."""

from collections.abc import Iterator

import boto3
import httpx
import pytest

from core.adapters.memory import MemoryBlobs
from core.adapters.s3 import S3Blobs
from core.blobs import BlobStore
from core.errors import NotFoundError, UnavailableError

BUCKET = "inputs"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(params=["memory", "s3"])
def blobs(request: pytest.FixtureRequest) -> Iterator[BlobStore]:
    if request.param == "memory":
        yield MemoryBlobs()
        return
    request.getfixturevalue("aws")
    endpoint = request.getfixturevalue("s3")
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
    yield S3Blobs(BUCKET, endpoint)


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

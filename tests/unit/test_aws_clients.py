"""Clients of AWS without an endpoint of ours, as deployments have them: region, address and signature."""

from urllib.parse import parse_qs, urlsplit

import pytest

from core.adapters.aws import CREDENTIALS, REGION, session_arguments
from core.adapters.s3 import S3Blobs
from core.adapters.sqs import SqsWakeQueue

KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*REGION, *CREDENTIALS, "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", REGION)
def test_an_upload_is_signed_for_its_bucket_s_region_at_that_region_s_own_address(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, "eu-central-1")
    url = urlsplit(S3Blobs("inputs").upload_url("t", "in_1", 5_000_000, 900))
    assert url.hostname == "inputs.s3.eu-central-1.amazonaws.com"
    (credential,) = parse_qs(url.query)["X-Amz-Credential"]
    assert credential.split("/")[0::2][:2] == ["AKIA", "eu-central-1"]


def test_white_space_at_the_ends_of_what_is_said_is_nothing(monkeypatch: pytest.MonkeyPatch):
    clean = {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_REGION": "eu-central-1"}
    dirty = {name: f" {value}\r\n" for name, value in clean.items()}
    assert session_arguments(dirty) == session_arguments(clean)
    for name, value in dirty.items():
        monkeypatch.setenv(name, value)
    url = S3Blobs("inputs").upload_url("t", "in_1", 5, 900)
    assert "X-Amz-Credential=AKIA%2F" in url
    assert "%0A" not in url


def test_the_region_that_is_said_for_all_of_aws_counts_before_that_of_boto3_alone():
    said = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "us-east-1"}
    assert session_arguments(said) == {"region_name": "eu-central-1"}


def test_half_of_a_key_is_left_to_boto3_which_says_what_is_missing():
    assert session_arguments({"AWS_ACCESS_KEY_ID": "AKIA"}) == {}


def test_a_queue_is_found_by_the_same_region(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_REGION", "eu-central-1\n")
    SqsWakeQueue("https://sqs.eu-central-1.amazonaws.com/1/wake")  # boto3 alone: no region

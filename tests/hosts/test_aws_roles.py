"""What each function may do at AWS: all that it does, with its role's permissions alone, and nothing else.

Each story has one function do whatever it does with buckets and the queue. A call that the role does not allow is
refused; a permission that no story needed is one too many.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from core.config import SettingsError
from core.learning import following
from functions import retrain
from infra.bundles.contents import BUNDLES
from tests.aws_permissions import BUCKETS, QUEUE, REGION, Permission, Role
from tests.fixtures_aws import Template
from tests.hosts.aws_stories import STORIES
from tests.hosts.aws_world import acting

OBJECTS = {"Blobs.Arn/*", "Models.Arn/*"}
BY_LAMBDA = {
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
}  # in the worker's name


@pytest.fixture
def aws(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Buckets and the queue of the template, empty; return their endpoint."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for bucket in BUCKETS:
        made_empty(boto3.client("s3", endpoint_url=s3), bucket)
    sqs = boto3.client("sqs", endpoint_url=s3)
    for url in sqs.list_queues(QueueNamePrefix=QUEUE).get("QueueUrls", []):
        sqs.delete_queue(QueueUrl=url)
    sqs.create_queue(QueueName=QUEUE)
    return s3


def made_empty(client: Any, bucket: str) -> None:
    """Have a bucket with nothing in it; those of other tests stay, which are the same server's."""
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
    for one in client.list_objects_v2(Bucket=bucket).get("Contents", []):
        client.delete_object(Bucket=bucket, Key=one["Key"])


def test_every_function_has_a_story():
    assert STORIES.keys() == BUNDLES.keys()


@pytest.mark.parametrize("function", sorted(STORIES))
async def test_a_function_does_all_it_does_with_its_own_permissions_and_needs_each_of_them(
    function: str, template: Template, aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retrain, "DELAY_MS", 0)
    monkeypatch.setattr(following, "RECHECK_SECONDS", 0.0)
    allowed = permissions(template, function)
    role = Role(aws, allowed)
    async with acting(role, tmp_path) as world:
        await STORIES[function](world)
    assert {one for one in allowed if one[0] not in BY_LAMBDA} == role.used


def permissions(template: Template, function: str) -> set[Permission]:
    """Return what a function's role allows beside its log."""
    allowed = set(template.statements(template.functions()[function].role))
    return {one for one in allowed if not one[0].startswith("logs:")}


def test_a_role_that_lacks_a_permission_would_be_found_out(aws: str):
    blobs = Role(aws, {("s3:GetObject", "Blobs.Arn/*")}).blobs("crewline-blobs")
    for refused in (
        lambda: blobs.put("t", "x", b"x", ""),
        lambda: blobs.open("t", "not there"),
        lambda: blobs.upload_url("t", "x", 1, 60),
    ):
        with pytest.raises((SettingsError, ClientError), match="AccessDenied"):
            refused()


def test_each_function_has_a_role_of_its_own_that_lambda_alone_may_take(template: Template):
    roles = [one.role for one in template.functions().values()]
    assert len(set(roles)) == len(roles) == len(BUNDLES)
    assert set(template.of_type("IAM::Role")) == set(roles)
    for role in template.of_type("IAM::Role").values():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
        assert "ManagedPolicyArns" not in role


def test_no_role_allows_more_than_named_actions_on_named_things(template: Template):
    for function in template.functions().values():
        for action, resource in template.statements(function.role):
            assert re.fullmatch(r"(logs|s3|sqs):[A-Z][A-Za-z]+", action)
            named = resource.removesuffix("/*") if resource in OBJECTS else resource
            named = named.removesuffix(":*") if action.startswith("logs:") else named
            assert "*" not in named, (function.name, action, resource)


def test_each_function_writes_to_its_own_log_alone(template: Template):
    for function in template.functions().values():
        logs = {one for one in template.statements(function.role) if one[0].startswith("logs:")}
        group = f"log-group:/aws/lambda/{function.properties['FunctionName']}:*"
        assert {action for action, _ in logs} == {"logs:CreateLogStream", "logs:PutLogEvents"}
        assert all(resource.endswith(f":{group}") for _, resource in logs)


def test_lambda_may_read_the_queue_in_the_worker_s_name_alone(template: Template):
    for name in BUNDLES:
        by_lambda = {one for one in permissions(template, name) if one[0] in BY_LAMBDA}
        wanted = {(action, "WakeQueue.Arn") for action in BY_LAMBDA}
        assert by_lambda == (wanted if name == "crew_worker" else set())

"""What a person sets up at AWS for functions that run elsewhere: the buckets' rules and the policy of an access key.

Pages name the commands; what they say is given to moto's S3 and IAM.
"""

import json
import re
import subprocess
from typing import Any

import boto3
import pytest

from infra.bundles.contents import ROOT
from tests.aws_permissions import Permission
from tests.fixtures_aws import Template
from tests.hosts.test_aws_roles import permissions

ON_VERCEL = sorted(path.stem for path in (ROOT / "api").glob("*.py"))
POLICY = ROOT / "infra" / "aws" / "key_policy.sh"
NAMES = {
    "arn:aws:s3:::b": "Blobs.Arn",
    "arn:aws:s3:::m": "Models.Arn",
    "arn:aws:sqs:r:1:q": "WakeQueue.Arn",
}
RULE = re.compile(r"aws s3api (put-bucket-\S+) --bucket BUCKET --\S+ \\\s+'(.+?)'\n", re.DOTALL)


def printed(*arguments: str) -> dict[str, Any]:
    ran = subprocess.run([POLICY, *arguments], check=True, capture_output=True, text=True)
    return json.loads(ran.stdout)


def allowed(policy: dict[str, Any]) -> set[Permission]:
    """Return the permissions of a policy, resources by the names that the template has for them."""
    return {
        (action, NAMES[arn.removesuffix("/*")] + ("/*" if arn.endswith("/*") else ""))
        for one in policy["Statement"]
        for action in one["Action"]
        for arn in ([one["Resource"]] if isinstance(one["Resource"], str) else one["Resource"])
    }


def test_an_access_key_may_do_what_the_roles_of_its_functions_may_and_no_more(template: Template):
    needed = set[Permission]().union(*(permissions(template, name) for name in ON_VERCEL))
    assert allowed(printed("b", "m", "arn:aws:sqs:r:1:q")) == needed
    without_queue = {one for one in needed if not one[0].startswith("sqs:")}
    assert allowed(printed("b", "m")) == without_queue
    of_a_container = permissions(template, "crew_worker") | permissions(template, "retrain")
    assert {one for one in of_a_container if not one[0].startswith("sqs:")} <= without_queue


def test_iam_takes_the_policy_of_an_access_key(s3: str):
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    iam: Any = boto3.client("iam", endpoint_url=s3, region_name="us-east-1", **keys)
    iam.create_user(UserName="crewline")
    document = json.dumps(printed("b", "m", "arn:aws:sqs:eu-central-1:123456789012:q"))
    iam.put_user_policy(UserName="crewline", PolicyName="crewline", PolicyDocument=document)
    iam.delete_user_policy(UserName="crewline", PolicyName="crewline")
    iam.delete_user(UserName="crewline")


@pytest.mark.parametrize("operation", ["put_bucket_lifecycle_configuration", "put_bucket_cors"])
def test_the_rules_of_a_bucket_that_docs_storage_names_are_taken_as_they_stand(
    operation: str, s3: str
):
    rules = dict(RULE.findall((ROOT / "docs" / "storage.md").read_text("utf-8")))
    rule = json.loads(rules[operation.replace("_", "-")])
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    client: Any = boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="rules")
    named = "CORSConfiguration" if operation == "put_bucket_cors" else "LifecycleConfiguration"
    getattr(client, operation)(Bucket="rules", **{named: rule})
    kept: Any = getattr(client, operation.replace("put", "get"))(Bucket="rules")
    client.delete_bucket(Bucket="rules")
    (declared,) = next(iter(rule.values()))
    (told,) = next(value for name, value in kept.items() if name.endswith("Rules"))
    assert declared.items() <= told.items()

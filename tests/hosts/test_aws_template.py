"""What CloudFormation is told: every function, what wakes it, where its messages end, and what is kept how.

The API is in test_aws_api.py.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from core.config import WORKER_MARGIN_SECONDS, Settings
from infra.bundles.contents import BUNDLES, own_files
from tests.fixtures_aws import (
    ARTIFACTS,
    PAGE,
    PREFIX,
    ROOT,
    TEMPLATE,
    WORKER,
    Template,
    package,
    plain,
)
from tests.hosts.test_vercel import ENVIRON, MARGIN_SECONDS

WOKEN = {"crew_worker", "sweep", "retrain"}  # by a queue or a schedule
HTTP = sorted(set(BUNDLES) - WOKEN)
STREAMING = {"flow_events", "crew_agui"}
GATEWAY_SECONDS, STREAM_SECONDS = 29, 900  # what API Gateway waits for an answer, and for a stream


def test_every_function_is_deployed_from_its_own_bundle_with_its_own_name(template: Template):
    functions = template.functions()
    assert functions.keys() == BUNDLES.keys()
    for name, function in functions.items():
        assert function.properties["FunctionName"] == f"{PREFIX}{name}"
        if name == "crew_worker":
            assert function.properties["Code"] == {"ImageUri": WORKER}
            continue
        assert function.properties["Code"]["S3Key"].endswith(f"/{name}.zip")
        assert function.properties["Handler"].startswith(f"functions.{name}.")
        assert function.properties["Runtime"] == "python3.13"
    assert {one.properties["Architectures"][0] for one in functions.values()} == {"arm64"}


def test_what_streams_is_run_by_the_runtime_that_streams(template: Template):
    for name, function in template.functions().items():
        wrapper = function.names.get("AWS_LAMBDA_EXEC_WRAPPER")
        handler = function.properties.get("Handler", "")
        if name in STREAMING:
            assert wrapper == "/var/task/infra/aws/streaming/start"
            assert Path("infra/aws/streaming/start") in own_files(BUNDLES[name])
            assert handler == f"functions.{name}.app"
        else:
            assert wrapper is None
            assert handler in ("", f"functions.{name}.handler")


def test_a_function_may_run_for_as_long_as_it_means_to(template: Template):
    settings = Settings.from_environ(ENVIRON)
    limits = {name: one.properties["Timeout"] for name, one in template.functions().items()}
    assert limits["flow_events"] >= settings.stream_seconds + MARGIN_SECONDS
    assert limits["crew_agui"] <= STREAM_SECONDS
    assert {limits[name] for name in set(HTTP) - STREAMING} == {GATEWAY_SECONDS}
    assert limits["crew_worker"] >= settings.step_seconds + WORKER_MARGIN_SECONDS + 1
    assert limits["sweep"] < 60, "over before the next begins"
    assert limits["retrain"] == 600, "what its docstring says"


def test_the_worker_takes_one_message_at_a_time_and_no_other_takes_it_meanwhile(template: Template):
    worker = template.functions()["crew_worker"]
    (mapping,) = template.of_type("Lambda::EventSourceMapping").values()
    assert plain(mapping["FunctionName"]) == f"{worker.logical_id}.Arn"
    assert plain(mapping["EventSourceArn"]) == "WakeQueue.Arn"
    assert mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"]["MaximumConcurrency"] >= 2
    queues = template.of_type("SQS::Queue")
    wake = queues["WakeQueue"]
    assert 1 < wake["VisibilityTimeout"] / worker.properties["Timeout"] < 1.5
    assert plain(wake["RedrivePolicy"]["deadLetterTargetArn"]) == "WakeDeadLetters.Arn"
    assert wake["RedrivePolicy"]["maxReceiveCount"] >= 5
    dead = queues["WakeDeadLetters"]
    assert dead["MessageRetentionPeriod"] > wake["MessageRetentionPeriod"]
    assert all(queue["SqsManagedSseEnabled"] for queue in queues.values())


def test_the_sweep_comes_each_minute_and_a_failed_schedule_is_not_repeated(template: Template):
    functions = template.functions()
    rules = template.of_type("Events::Rule").values()
    every = {plain(rule["Targets"][0]["Arn"]): rule["ScheduleExpression"] for rule in rules}
    assert every == {
        f"{functions['sweep'].logical_id}.Arn": "rate(1 minute)",
        f"{functions['retrain'].logical_id}.Arn": "rate(5 minutes)",
    }
    invoked = template.of_type("Lambda::EventInvokeConfig").values()
    assert [one["MaximumRetryAttempts"] for one in invoked] == [0, 0]


def test_viewers_and_runs_cannot_take_all_that_the_account_runs_at_once(template: Template):
    functions = template.functions().values()
    reserved = {one.name: one.properties.get("ReservedConcurrentExecutions") for one in functions}
    assert {name for name, many in reserved.items() if many is not None} == STREAMING
    assert sum(many or 0 for many in reserved.values()) <= 900  # of 1,000, 100 stay free


def test_an_account_that_runs_few_at_once_can_reserve_none(osls: Path, tmp_path: Path):
    told = re.search(r"add `(--param .+?)`", PAGE.read_text("utf-8"))
    assert told
    template = package(tmp_path, osls, more=told[1])
    for function in template.functions().values():
        reserved = function.properties.get("ReservedConcurrentExecutions")
        assert reserved in (None, {"Ref": "AWS::NoValue"})
    (mapping,) = template.of_type("Lambda::EventSourceMapping").values()
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}


def test_each_function_s_log_is_kept_for_a_month(template: Template):
    groups = template.of_type("Logs::LogGroup").values()
    assert {group["LogGroupName"] for group in groups} == {
        f"/aws/lambda/{PREFIX}{name}" for name in BUNDLES
    }
    assert {group["RetentionInDays"] for group in groups} == {30}


def test_buckets_are_private_encrypted_and_kept_when_the_stack_goes(template: Template):
    ours = {"Blobs", "Models"}
    buckets = template.of_type("S3::Bucket")
    assert buckets.keys() - {"ServerlessDeploymentBucket"} == ours
    for name in ours:
        assert set(buckets[name]["PublicAccessBlockConfiguration"].values()) == {True}
        assert buckets[name]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        resource = template.document["Resources"][name]
        assert (
            resource["DeletionPolicy"] == "RetainExceptOnCreate"
        )  # a first deploy that fails leaves none
        assert resource["UpdateReplacePolicy"] == "Retain"
    policies = template.of_type("S3::BucketPolicy").values()
    refusing = {plain(one["Bucket"]): one["PolicyDocument"]["Statement"] for one in policies}
    for name in ours:
        assert refusing[name][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_inputs_expire_when_docs_storage_says_and_models_keep_their_versions(template: Template):
    buckets = template.of_type("S3::Bucket")
    (rule,) = buckets["Blobs"]["LifecycleConfiguration"]["Rules"]
    page = (ROOT / "docs" / "storage.md").read_text("utf-8")
    said = re.search(r'"Expiration": \{"Days": (\d+)\}', page)
    assert said
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", int(said[1]))
    models = buckets["Models"]
    assert models["VersioningConfiguration"] == {"Status": "Enabled"}
    assert all("ExpirationInDays" not in rule for rule in models["LifecycleConfiguration"]["Rules"])


def test_each_alarm_tells_the_topic_of_something_that_is_there(template: Template):
    alarms = template.of_type("CloudWatch::Alarm")
    assert len(alarms) > 6
    names = {one.properties["FunctionName"] for one in template.functions().values()}
    (rest,) = template.of_type("ApiGateway::RestApi").values()
    known = {
        "FunctionName": names, "ApiName": {rest["Name"]},
        "QueueName": {"WakeQueue.QueueName", "WakeDeadLetters.QueueName"},
    }  # fmt: skip
    for alarm in alarms.values():
        assert [plain(one) for one in alarm["AlarmActions"]] == ["Alarms"]
        for dimension in dimensions(alarm):
            assert plain(dimension["Value"]) in known[dimension["Name"]]
    of_throttles = dimensions(alarms["ThrottlesAlarm"])
    assert {one["Value"] for one in of_throttles} == names, "an alarm of the account's functions"


def dimensions(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """Return those of an alarm's metric, or of all the metrics that it adds up."""
    added = [one["MetricStat"]["Metric"] for one in alarm.get("Metrics", []) if "MetricStat" in one]
    return [one for metric in added or [alarm] for one in metric.get("Dimensions", [])]


def test_an_error_in_any_function_s_log_sets_off_an_alarm(template: Template):
    filters = template.of_type("Logs::MetricFilter")
    assert {one["LogGroupName"] for one in filters.values()} == {
        f"/aws/lambda/{PREFIX}{name}" for name in BUNDLES
    }
    alarm = template.of_type("CloudWatch::Alarm")["ErrorLinesAlarm"]
    for one in filters.values():
        (counted,) = one["MetricTransformations"]
        assert (counted["MetricNamespace"], counted["MetricName"], counted["MetricValue"]) == (
            alarm["Namespace"], alarm["MetricName"], "1",
        )  # fmt: skip
        assert "$.level" in one["FilterPattern"]


def test_cfn_lint_finds_nothing(template: Template):
    run = subprocess.run(
        [Path(sys.executable).parent / "cfn-lint", "--format", "json", "--regions", "eu-central-1",
         "--template", template.tree / TEMPLATE],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    found = [(one["Rule"]["Id"], one["Location"]["Path"]) for one in json.loads(run.stdout)]
    # osls writes that a function depends on its role, beside the reference that implies it.
    functions = [one.logical_id for one in template.functions().values()]
    of_osls = [("W3005", ["Resources", name, "DependsOn", 1]) for name in functions]
    assert sorted(found) == sorted(of_osls), run.stderr


def test_the_packager_carries_what_make_bundles_makes(template: Template):
    text = (template.tree / "serverless.yml").read_text("utf-8")
    named = re.findall(r"artifact: (\S+)\.zip", text)
    assert sorted(named) == sorted(
        f"{ARTIFACTS}/{name}" for name in BUNDLES if name != "crew_worker"
    )

"""What CloudFormation is told: every function, what wakes it, where its messages end, and what is kept how."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.config import WORKER_MARGIN_SECONDS, Settings
from functions._http.problems import TYPE_PREFIX, TYPES
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
from tests.hosts.test_vercel import ENVIRON, MARGIN_SECONDS, asked
from tests.hosts.test_vercel import destination as on_vercel

WOKEN = {"crew_worker", "sweep", "retrain"}  # by a queue or a schedule
HTTP = sorted(set(BUNDLES) - WOKEN)
STREAMING = {"flow_events", "crew_agui"}
WAYS = [way for name in HTTP for way in asked(name)]
GATEWAY_SECONDS, STREAM_SECONDS = 29, 900  # what API Gateway waits for an answer, and for a stream
Api = dict[tuple[str, str], tuple[str, bool]]


@pytest.fixture(scope="module")
def api(template: Template) -> Api:
    """By path and method: the function, and whether its answer is streamed."""
    paths = {"RootResourceId": ""}
    resources = template.of_type("ApiGateway::Resource")
    while missing := resources.keys() - paths.keys():
        for name in missing:
            parent = plain(resources[name]["ParentId"]).rpartition(".")[2]
            if parent in paths:
                paths[name] = f"{paths[parent]}/{resources[name]['PathPart']}"
    by_id = {one.logical_id: one.name for one in template.functions().values()}
    found: Api = {}
    for method in template.of_type("ApiGateway::Method").values():
        integration = method["Integration"]
        (function,) = [name for i, name in by_id.items() if f"{i}." in plain(integration["Uri"])]
        streams = integration.get("ResponseTransferMode") == "STREAM"
        path = paths[plain(method["ResourceId"]).rpartition(".")[2]] or "/"
        found[path, method["HttpMethod"]] = function, streams
    return found


def leads_to(api: Api, method: str, path: str) -> tuple[str, bool]:
    """Return where API Gateway leads a request: by the most specific path, then by method, else ANY.

    A path that has neither is refused by API Gateway itself.
    """
    fitting = [template for template in {path for path, _ in api} if _fits(template, path)]
    best = min(fitting, key=lambda one: [_greed(part) for part in one.split("/")])
    return api.get((best, method)) or api[best, "ANY"]


def _fits(template: str, path: str) -> bool:
    parts = (
        ("[^/]+", ".+")[_greed(part) - 1] if _greed(part) else part for part in template.split("/")
    )
    return re.fullmatch("/".join(parts), path) is not None


def _greed(part: str) -> int:
    return 2 if part.endswith("+}") else 1 if part.startswith("{") else 0


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


@pytest.mark.parametrize(("method", "path", "name"), WAYS, ids=[f"{m} {p}" for m, p, _ in WAYS])
def test_each_request_leads_to_the_function_that_has_its_route(
    api: Api, method: str, path: str, name: str
):
    assert leads_to(api, method, path) == (name, name in STREAMING)
    assert on_vercel(method, path) == f"/api/{name}"
    assert leads_to(api, "OPTIONS", path)[0] in HTTP  # a preflight, which any of them answers


@pytest.mark.parametrize("name", HTTP)
def test_each_function_is_asked_how_it_is_at_a_path_of_its_own(api: Api, name: str):
    assert leads_to(api, "GET", f"/healthz/{name}") == (name, name in STREAMING)


@pytest.mark.parametrize(
    "path",
    ["/", "/health", "/healthz", "/healthz/nobody", "/nowhere", "/v1", "/v1/flows/f/nowhere"],
)
def test_any_other_path_is_answered_by_a_function_that_says_what_there_is(api: Api, path: str):
    assert leads_to(api, "GET", path) == ("flow_status", False)


def test_what_is_sent_in_bytes_arrives_in_bytes_at_a_regional_stage(template: Template):
    (rest,) = template.of_type("ApiGateway::RestApi").values()
    assert rest["BinaryMediaTypes"] == ["*/*"]
    assert rest["EndpointConfiguration"]["Types"] == ["REGIONAL"]
    (deployment,) = template.of_type("ApiGateway::Deployment").values()
    assert deployment["StageName"] == "prod"
    assert "ServiceEndpoint" in template.document["Outputs"]


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


def test_api_gateway_waits_for_a_stream_as_long_as_it_lasts(template: Template):
    limits = {one.logical_id: one.properties["Timeout"] for one in template.functions().values()}
    for method in template.of_type("ApiGateway::Method").values():
        integration = method["Integration"]
        if integration.get("ResponseTransferMode") == "STREAM":
            assert "response-streaming-invocations" in plain(integration["Uri"])
            (seconds,) = [
                s for name, s in limits.items() if f"{name}." in plain(integration["Uri"])
            ]
            assert integration["TimeoutInMillis"] >= seconds * 1000


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
    pages = (template.tree / "infra" / "aws").glob("*.yml")
    written = sum(page.read_text("utf-8").count("AWS::CloudWatch::Alarm") for page in pages)
    assert len(alarms) == written > 6
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


def test_what_api_gateway_answers_by_itself_is_a_problem_that_any_page_can_read(template: Template):
    answers = template.of_type("ApiGateway::GatewayResponse").values()
    assert {answer["ResponseType"] for answer in answers} == {"DEFAULT_5XX", "THROTTLED"}
    for answer in answers:
        document = json.loads(answer["ResponseTemplates"]["application/json"])
        name, title = TYPES[document["status"]]
        assert (document["type"], document["title"]) == (f"{TYPE_PREFIX}{name}", title)
        assert str(document["status"]) == answer["StatusCode"]
        sent = {name.rpartition(".")[2] for name in answer["ResponseParameters"]}
        assert {"Access-Control-Allow-Origin", "Retry-After", "Content-Type"} <= sent


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

"""The REST API at AWS: which function a request leads to, what its stage takes at most, and what it answers by itself."""

import json
import re

import pytest

from functions._http.problems import TYPE_PREFIX, TYPES
from tests.fixtures_aws import Template, plain
from tests.hosts.test_aws_template import HTTP, STREAMING
from tests.hosts.test_vercel import asked
from tests.hosts.test_vercel import destination as on_vercel

WAYS = [way for name in HTTP for way in asked(name)]
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
    assert "ServiceEndpoint" in template.document["Outputs"]


def test_the_stage_has_limits_and_the_deployment_makes_no_other(template: Template):
    ((name, deployment),) = template.of_type("ApiGateway::Deployment").items()
    (stage,) = template.of_type("ApiGateway::Stage").values()
    assert deployment["StageName"] == {"Ref": "AWS::NoValue"}
    assert (stage["StageName"], stage["DeploymentId"]) == ("prod", {"Ref": name})
    (limits,) = stage["MethodSettings"]
    assert (limits["HttpMethod"], limits["ResourcePath"]) == ("*", "/*")
    assert 0 < limits["ThrottlingRateLimit"] <= limits["ThrottlingBurstLimit"] <= 5000  # AWS' own


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

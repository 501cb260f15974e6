"""Workers that call the models of other providers than OpenAI: their packages, and what they may do at Bedrock."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from core.adapters.crewai.environ import prepare_environ
from core.adapters.crewai.models import model_from
from infra.bundles import packages
from infra.bundles.__main__ import with_more
from infra.bundles.contents import BUNDLES, PROVIDERS, ROOT
from tests.fixtures_aws import Template, package

EXTRAS = {"anthropic": "anthropic", "azure": "azure-ai-inference", "gemini": "google-genai"}
PERMISSIONS = {"converse": "InvokeModel", "converse-stream": "InvokeModelWithResponseStream"}
INSTALLED = [
    ROOT / "requirements.txt", ROOT / "api" / "requirements.txt", *(ROOT / "infra" / "requirements").glob("*.txt"),
]  # fmt: skip
MODEL = "anthropic.claude-3-5-haiku-20241022-v1:0"
ARN = f"arn:aws:bedrock:eu-central-1::foundation-model/{MODEL}"


def pins(text: str) -> dict[str, str]:
    """Return the versions of a file of requirements, by the names of their packages."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def of_file(name: str) -> dict[str, str]:
    return pins((ROOT / "infra" / "requirements" / f"{name}.txt").read_text("utf-8"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_s_packages_are_those_that_crewai_asks_for(provider: str):
    there = of_file(provider)
    asked = [Requirement(line) for line in metadata.requires("crewai") or []]
    wanted = [
        one for one in asked if one.marker and one.marker.evaluate({"extra": EXTRAS[provider]})
    ]
    of_all = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    needed = [one for one in wanted if one not in of_all]
    assert needed
    for one in needed:
        assert one.specifier.contains(there[one.name], prereleases=True), one


def test_the_worker_s_image_has_what_its_bundle_has():
    there = pins(packages.requirements(with_more(BUNDLES["crew_worker"], providers=PROVIDERS)))
    files = [of_file(name) for name in ("worker", *PROVIDERS)]
    assert {"crewai", "jinja2", "anthropic", "azure-identity", "google-genai"} <= there.keys()
    assert there.keys() <= set[str]().union(*files)
    assert set[str]().union(*files).isdisjoint(BUNDLES["crew_worker"].pruned)
    assert "boto3" in of_file("worker"), "which Lambda's own image has"


@pytest.mark.parametrize("function", BUNDLES)
def test_one_lock_has_made_a_bundle_and_all_that_other_hosts_install(function: str):
    bundle = pins(packages.requirements(with_more(BUNDLES[function], providers=PROVIDERS)))
    assert bundle
    for path in INSTALLED:
        there = pins(path.read_text("utf-8"))
        assert {name: there.get(name, version) for name, version in bundle.items()} == bundle, path


def test_only_the_worker_s_bundle_has_packages_of_providers():
    assert with_more(BUNDLES["flow_status"], providers=PROVIDERS) == BUNDLES["flow_status"]
    assert with_more(BUNDLES["sweep"], oidc=True).more == ("oidc",)


def test_the_images_copy_what_each_provider_needs():
    text = (ROOT / "infra" / "container" / "Dockerfile").read_text("utf-8")
    assert all(f"infra/requirements/{provider}.txt" in text for provider in PROVIDERS)


@contextmanager
def bedrock() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Stand in for Bedrock, which refuses all; yield its address, and (operation, region) of each call."""
    calls = list[tuple[str, str]]()

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            region = self.headers["authorization"].split("/")[2]
            calls.append((self.path.rpartition("/")[2], region))
            self.send_response(403)
            self.send_header("x-amzn-errortype", "AccessDeniedException")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", calls
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str]]:
    """The calls of a model at Bedrock, streamed and whole, where AWS_REGION alone names the region."""
    with bedrock() as (address, calls):
        environ = {"AWS_REGION": "eu-central-1"}
        prepare_environ(environ, str(tmp_path))
        monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        for name, value in {**environ, **keys, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": address}.items():
            monkeypatch.setenv(name, value)
        llm = model_from(f"bedrock/{MODEL}", None, "none")()
        for streams in (True, False):
            llm.stream = streams
            with pytest.raises(Exception, match=f"Access denied to model {MODEL}"):
                llm.call("Why tea?")
    return calls


def test_bedrock_is_called_in_the_deployment_s_region(called: list[tuple[str, str]]):
    assert [region for _, region in called] == ["eu-central-1", "eu-central-1"]


def test_a_worker_may_call_the_models_that_are_named_and_no_role_may_without(
    called: list[tuple[str, str]], template: Template, osls: Path, tmp_path: Path
):
    assert template.of_type("IAM::Policy") == {}
    chosen = package(tmp_path, osls, more=f"--param bedrock={ARN},{ARN}-2")
    (policy,) = chosen.of_type("IAM::Policy").values()
    assert policy["Roles"] == [{"Ref": chosen.functions()["crew_worker"].role}]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert statement["Resource"] == [ARN, f"{ARN}-2"]
    needed = {f"bedrock:{PERMISSIONS[operation]}" for operation, _ in called}
    assert set(statement["Action"]) == needed

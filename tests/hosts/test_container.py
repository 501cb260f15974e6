"""Images for any host of containers: they are built, and what compose.yaml starts runs a crew."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from infra.bundles.contents import ROOT
from infra.local import valkey
from infra.local.processes import Processes, free_port, is_listening
from tests.fixtures_api import SECRET, Api
from tests.hosts import images

COMPOSE = ROOT / "infra" / "container" / "compose.yaml"
ALLOWED = "access-control-allow-origin"
PAGE = "https://page.example"
OF_THE_FILE = {
    "UPSTASH_REDIS_REST_TOKEN": "a-token-of-the-tests", "CREWLINE_JWT_KEYS": f"k1:{SECRET}",
    "CREWLINE_CORS_ORIGINS": PAGE,
}  # fmt: skip
NOTES = {"question": "Why tea?", "notes": "Tea wakes one up more gently than coffee does."}
TEXTS = {path.name for path in (ROOT / "infra" / "requirements").iterdir()} | {"requirements.txt"}
MAKES_MODELS = """
import os
from core.adapters.crewai.environ import prepare_environ
prepare_environ(os.environ, "/tmp")
from core.adapters.crewai.models import model_from
for name in (
    "anthropic/claude-sonnet-4-5", "azure/gpt-4o", "gemini/gemini-2.5-flash",
    "bedrock/anthropic.claude-3-5-haiku-20241022-v1:0", "openai/gpt-4o-mini",
):
    model_from(name, None, "a-key")()
"""
OF_PROVIDERS = {
    "AZURE_ENDPOINT": "https://none.openai.azure.com/openai/deployments/gpt", "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
}  # fmt: skip
IN_CI = [
    pytest.param("http"),
    pytest.param("local", marks=pytest.mark.soak),
    pytest.param("worker", marks=pytest.mark.soak),
]


@pytest.mark.parametrize("dockerfile", ["infra/container", "infra/aws/worker"])
def test_a_linter_finds_nothing_in_a_dockerfile(dockerfile: str):
    linter = Path(sys.executable).with_name("hadolint")
    command = [linter, ROOT / dockerfile / "Dockerfile"]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


@pytest.fixture(scope="module")
def builder(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[images.Builder]:
    try:
        builder = images.Builder(tmp_path_factory.mktemp("images"), python)
    except images.NoBuilderError as error:
        pytest.skip(str(error))
    yield builder
    builder.remove()


@pytest.mark.timeout(400)  # packages are fetched, and unpacked twice
@pytest.mark.parametrize("target", IN_CI)
def test_an_image_is_built_and_what_it_is_started_with_begins(target: str, builder: images.Builder):
    container = builder.container(target)
    ran = builder.run(container, images.command_of(target), {})
    assert ran.returncode != 0
    assert "UPSTASH_REDIS_REST" in ran.stderr, ran.stderr  # all was imported
    assert "Traceback" not in ran.stderr
    look = "import os; print(os.getuid(), os.getcwd(), *os.listdir())"
    user, folder, *there = builder.run(container, ["python", "-c", look], {}).stdout.split()
    assert (user, folder) == ("10001", "/app")
    assert not set(there) - {"core", "crews", "functions", "infra", "public"} - TEXTS
    if target == "http":
        token = ["python", "-m", "infra.token", "--tenant", "demo", "--subject", "me"]
        minted = builder.run(container, token, {"CREWLINE_JWT_KEYS": f"k1:{SECRET}"})
        assert (minted.returncode, minted.stdout.count(".")) == (0, 2), minted.stderr
    if target == "worker":
        made = builder.run(container, ["python", "-c", MAKES_MODELS], OF_PROVIDERS)
        assert made.returncode == 0, made.stderr


def test_nothing_of_a_person_s_reaches_the_builder():
    lines = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    kept = [line for line in lines if line and not line.startswith("#")]
    assert kept[0] == "*"
    assert {line for line in kept if line.startswith("!")} == {
        "!core", "!crews", "!functions", "!infra", "!public", "!requirements.txt",
    }  # fmt: skip


class Composed:
    """The services of compose.yaml as processes of this machine, on ports that are free."""

    def __init__(self, processes: Processes, data: Path) -> None:
        text = COMPOSE.read_text("utf-8")
        self.ports = {port: free_port() for port in ("8443", "9000", "8079", "6379")}
        for port, free in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(free), text)
        self._services: dict[str, Any] = yaml.safe_load(_filled(text, OF_THE_FILE))["services"]
        self._processes, self._data, self.started = processes, data, list[str]()

    def start(self, service: str) -> None:
        declared = self._services[service]
        command = declared.get("command") or images.command_of(declared["build"]["target"])
        command = [word.replace("/data", str(self._data)) for word in command]
        if command[0] == "valkey-server":  # wherever this machine has it
            server = valkey.server_command(self._data, 0)[0]
            command = [server, *command[1:], "--dir", str(self._data)]
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._data),
            **(OF_THE_FILE if "env_file" in declared else {}),
            **{name: value or "" for name, value in declared.get("environment", {}).items()},
        }
        environ |= {"CREWLINE_PORT": str(self.ports["8443"])} if service == "http" else {}
        self._processes.start(
            service,
            [sys.executable, *command[1:]] if command[0] == "python" else command,
            environ=environ,
        )
        self.started.append(service)

    def start_store(self) -> None:
        self.start("valkey")
        self.wait("valkey", "6379")
        self.start("gateway")
        self.wait("gateway", "8079")

    def stop(self, *services: str) -> None:
        self._processes.stop(*services)
        self.started = [service for service in self.started if service not in services]

    def wait(self, service: str, port: str) -> None:
        self._processes.wait_until(service, lambda: is_listening(self.ports[port]), 30)


def _filled(text: str, given: dict[str, str]) -> str:
    """Fill variables in as compose does: a name alone, with a default, or with what is said without it."""

    def value(match: re.Match[str]) -> str:
        name, rest = match[1], match[2] or ""
        return given.get(name) or (rest[2:] if rest.startswith(":-") else "")

    return re.sub(r"\$\{(\w+)((?::[-?])[^}]*)?\}", value, text)


@pytest.fixture
def composed(processes: Processes, tmp_path: Path):
    composed = Composed(processes, tmp_path)
    yield composed
    composed.stop(*reversed(composed.started))


def uploads(client: httpx.Client) -> str:
    return client.post("/v1/inputs", params={"size": 8}).json()["upload"]["url"]


def ended(client: httpx.Client) -> str:
    """Launch a crew and return its flow's path once it has succeeded."""
    launched = client.post("/v1/flows", json={"crew": "research_brief", "inputs": NOTES})
    assert launched.status_code == 202, launched.text
    end, state = time.monotonic() + 60, dict[str, Any]()
    while state.get("status") not in {"succeeded", "failed"}:
        assert time.monotonic() < end, state
        state = client.get(launched.headers["location"]).json()
        time.sleep(0.2)
    assert state["status"] == "succeeded", state
    return launched.headers["location"]


def test_what_compose_starts_runs_crews_also_after_its_store_was_started_anew(composed: Composed):
    composed.start("bucket")
    composed.start_store()
    composed.start("http")
    composed.start("worker")
    composed.wait("http", "8443")
    api = Api(f"http://127.0.0.1:{composed.ports['8443']}")
    with httpx.Client(base_url=api.url, headers=api.auth("t"), timeout=20) as client:
        first = ended(client)
        assert client.get("/v1/flows", headers={"Origin": PAGE}).headers[ALLOWED] == PAGE
        stored = client.put(uploads(client), content=b"a,b\n1,2\n")  # as a browser does
        assert stored.status_code == 200
        composed.stop("gateway", "valkey")
        assert client.get(first).status_code == 503
        composed.start_store()
        assert client.get(first).json()["status"] == "succeeded"
        ended(client)

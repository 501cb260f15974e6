"""Images for any host of containers: their steps are taken, and what compose.yaml starts runs a crew."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from infra.bundles.contents import BUNDLES, ROOT
from infra.local import valkey
from infra.local.processes import Processes, free_port, is_listening
from tests.fixtures_api import SECRET, Api
from tests.hosts import images

COMPOSE = ROOT / "infra" / "container" / "compose.yaml"
NOTES = {"question": "Why tea?", "notes": "Tea wakes one up more gently than coffee does."}
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


@pytest.mark.parametrize("target", IN_CI)
def test_the_steps_of_an_image_can_be_taken_and_what_it_runs_begins(
    target: str, python: Path, tmp_path: Path
):
    image = images.taken(target, python, tmp_path)
    assert image.user == "10001"
    ran = subprocess.run(
        image.command,
        cwd=image.folder,
        env=image.environ,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert "UPSTASH_REDIS_REST" in ran.stderr.splitlines()[-1], ran.stderr  # all was imported
    if target == "http":
        token = ["python", "-m", "infra.token", "--tenant", "demo", "--subject", "me"]
        environ = image.environ | {"CREWLINE_JWT_KEYS": f"k1:{SECRET}"}
        minted = subprocess.run(
            token, cwd=image.folder, env=environ, text=True, capture_output=True, check=False
        )
        assert (minted.returncode, minted.stdout.count(".")) == (0, 2), minted.stderr


def test_a_builder_makes_the_images():
    builder = next(filter(shutil.which, ("buildah", "podman")), None)
    if builder is None:
        pytest.skip("no builder of images: apt-get install buildah")
    for target in ("http", "worker", "local"):
        built = subprocess.run(
            [builder, "build", "-f", images.DOCKERFILE, "--target", target, "."],
            cwd=ROOT, text=True, capture_output=True, check=False,
        )  # fmt: skip
        if re.search("pinging container registry|no such host|dial tcp", built.stderr):
            pytest.skip("the registry of Python's images cannot be reached")
        assert built.returncode == 0, built.stderr


def test_nothing_of_a_person_s_reaches_the_builder():
    lines = (ROOT / ".dockerignore").read_text("utf-8").split("\n")
    kept = [line for line in lines if line and not line.startswith("#")]
    assert kept[0] == "*"
    assert {line for line in kept if line.startswith("!")} == {
        "!core", "!crews", "!functions", "!infra", "!public", "!requirements.txt",
    }  # fmt: skip


def test_the_worker_s_image_has_what_its_bundle_has():
    text = (ROOT / "infra/requirements/worker.txt").read_text("utf-8")
    there = set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))
    assert {"crewai", "boto3", "jinja2"} <= there
    assert there.isdisjoint(BUNDLES["crew_worker"].pruned)


class Composed:
    """The services of compose.yaml as processes of this machine, on ports that are free."""

    def __init__(self, processes: Processes, data: Path) -> None:
        text = COMPOSE.read_text("utf-8")
        self.ports = {port: free_port() for port in ("8443", "9000", "8079", "6379")}
        for port, free in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(free), text)
        given = {
            "UPSTASH_REDIS_REST_TOKEN": "a-token-of-the-tests", "CREWLINE_JWT_KEYS": f"k1:{SECRET}",
        }  # fmt: skip
        self._services: dict[str, Any] = yaml.safe_load(_filled(text, given))["services"]
        self._processes, self._data, self.started = processes, data, list[str]()

    def start(self, service: str, image_command: list[str] | None = None) -> None:
        declared = self._services[service]
        command = [word.replace("/data", str(self._data)) for word in declared.get("command", [])]
        command = command or image_command or []
        if command[0] == "valkey-server":  # wherever this machine has it
            server = valkey.server_command(self._data, 0)[0]
            command = [server, *command[1:], "--dir", str(self._data)]
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._data),
            **{name: value or "" for name, value in declared.get("environment", {}).items()},
        }
        environ |= {"CREWLINE_PORT": str(self.ports["8443"])} if service == "http" else {}
        self._processes.start(
            service,
            [sys.executable, *command[1:]] if command[0] == "python" else command,
            environ=environ,
        )
        self.started.append(service)

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
    processes.stop(*reversed(composed.started))


def uploads(client: httpx.Client) -> str:
    return client.post("/v1/inputs", params={"size": 8}).json()["upload"]["url"]


def test_what_compose_starts_runs_a_crew_from_launch_to_end(composed: Composed):
    dockerfile = images.DOCKERFILE.read_text("utf-8")
    commands = {
        name: next(json.loads(step.words) for step in steps if step.instruction == "CMD")
        for name, steps in images.stages(dockerfile).items()
        if name != "python"
    }
    composed.start("bucket")
    composed.start("valkey")
    composed.wait("valkey", "6379")
    composed.start("gateway")
    composed.wait("gateway", "8079")
    composed.start("http", commands["http"])
    composed.start("worker", commands["worker"])
    composed.wait("http", "8443")
    api = Api(f"http://127.0.0.1:{composed.ports['8443']}")
    with httpx.Client(base_url=api.url, headers=api.auth("t"), timeout=20) as client:
        launched = client.post("/v1/flows", json={"crew": "research_brief", "inputs": NOTES})
        assert launched.status_code == 202, launched.text
        end, state = time.monotonic() + 60, dict[str, Any]()
        while state.get("status") not in {"succeeded", "failed"}:
            assert time.monotonic() < end, state
            state = client.get(launched.headers["location"]).json()
            time.sleep(0.2)
        assert state["status"] == "succeeded", state
        stored = client.put(uploads(client), content=b"a,b\n1,2\n")  # as a browser does
        assert stored.status_code == 200

"""docs/deploy-aws.md, done: its blocks run in one shell, with stand-ins for what needs an account.

`aws`, `docker`, `osls`, `npm` and `make` only note how they were called; all else is real.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from infra.local.processes import Processes, answers_http, free_port
from tests.fixtures_api import process_environ
from tests.fixtures_aws import (
    FOLDER,
    PAGE,
    RESOLVE,
    ROOT,
    SECRETS,
    SHELL,
    STAGE,
    Template,
    blocks,
)
from tests.fixtures_js import with_node
from tests.fixtures_servers import Rest

NOTING = """#!/bin/sh
printf '%s' "$(basename "$0")" >>"$CALLS"
for word in "$@"; do printf ' %s' "$word" >>"$CALLS"; done
echo >>"$CALLS"
case "$*" in
*create-secret*) cp "${6#file://}" "$KEPT" ;;
*"--query SecretString"*) cat "$KEPT" ;;
*"--query VersionId"*) echo SECRETS ;;
*"--query Account "*) echo 123456789012 ;;
*RepoDigests*) echo 123456789012.dkr.ecr.eu-central-1.amazonaws.com/crewline-worker@sha256:0f0f ;;
*ServiceEndpoint*) echo "$API" ;;
*AlarmsTopic*) echo arn:aws:sns:eu-central-1:123456789012:crewline-prod-alarms ;;
*get-account-settings*) echo 1000 ;;
esac
""".replace("SECRETS", SECRETS)


@dataclass(frozen=True)
class Done:
    """What came of the steps: how the stand-ins were called, the secret that was made, and what the last steps printed."""

    calls: list[str]
    secret: dict[str, str]
    printed: str


@pytest.fixture(scope="module")
def done(gateway: Rest, processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Do all steps: up to the deploy, then over an API that has the keys of the secret that they made."""
    folder, port = tmp_path_factory.mktemp("steps"), free_port()
    tree, kept = _tree(folder), folder / "kept.json"
    environ = {
        "PATH": f"{folder / 'tools'}:{os.environ['PATH']}", "CALLS": str(folder / "calls"), "KEPT": str(kept),
        "API": f"http://127.0.0.1:{port}", "STAGE": STAGE, "AWS_REGION": "eu-central-1",
    }  # fmt: skip
    steps = blocks()
    deployed = next(n for n, step in enumerate(steps) if " deploy --stage" in step) + 1
    _shell(tree, environ, steps[:deployed])
    secret: dict[str, str] = json.loads(kept.read_text())
    keys = {"CREWLINE_JWT_KEYS": secret["jwt_keys"]}
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "infra.api:app",
        "--port",
        str(port),
        "--lifespan",
        "off",
    ]
    name = f"api-{port}"
    processes.start(name, command, environ=process_environ(gateway) | keys)
    processes.wait_until(name, lambda: answers_http(port), 30)
    printed = _shell(tree, environ, steps[deployed:])
    processes.stop(name)
    return Done((folder / "calls").read_text().splitlines(), secret, printed)


def _tree(folder: Path) -> Path:
    """Make a folder as the repository's root is, in which steps leave nothing of it changed."""
    (folder / "tools").mkdir()
    for name in ("aws", "docker", "npm", "make", "osls"):
        (folder / "tools" / name).write_text(NOTING)
        (folder / "tools" / name).chmod(0o755)
    tree = folder / "tree"
    (tree / "infra" / "aws" / "node_modules" / ".bin").mkdir(parents=True)
    (tree / "infra" / "aws" / "node_modules" / ".bin" / "osls").symlink_to(
        folder / "tools" / "osls"
    )
    (tree / "infra" / "aws" / "secrets.sh").symlink_to(FOLDER / "secrets.sh")
    for path in ROOT.iterdir():
        if path.name in {".venv", ".git", "core", "functions", "crews"}:
            (tree / path.name).symlink_to(path)
    for path in (ROOT / "infra").iterdir():
        if path.name != "aws":
            (tree / "infra" / path.name).symlink_to(path)
    return tree


def _shell(tree: Path, environ: dict[str, str], steps: list[str]) -> str:
    run = subprocess.run(
        ["sh", "-c", "set -eu\n" + "".join(steps)],
        cwd=tree, env=environ, timeout=60, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_secret_that_is_made_has_what_the_template_takes_of_it(done: Done, template: Template):
    taken = {member for _, member, _ in RESOLVE.findall(json.dumps(template.document))}
    assert done.secret.keys() == taken
    assert done.secret["redis_url"] == "https://YOUR-DATABASE.upstash.io"


def test_the_deploy_names_what_was_made_before(done: Done):
    (deploy,) = [call for call in done.calls if call.startswith("osls deploy --")]
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/crewline-worker"
    assert f"--param secrets={SECRETS} --param worker={image}@sha256:0f0f" in deploy
    pushed = [call for call in done.calls if call.startswith("docker push")]
    assert [call.partition(":")[0] for call in pushed] == [f"docker push {image}"]
    (built,) = [call for call in done.calls if call.startswith("docker build")]
    assert built.endswith(" .data/bundles/crew_worker")
    assert "--file infra/aws/worker/Dockerfile" in built


def test_the_api_lives_and_takes_the_token_that_is_minted(done: Done):
    assert '{"status":"ok"}' in done.printed
    assert '"status":"queued"' in done.printed
    assert "aws sns subscribe --topic-arn arn:" in "\n".join(done.calls)


def test_every_parameter_of_the_template_is_told_of(template: Template):
    text = (template.tree / "serverless.yml").read_text("utf-8")
    texts = [text, *(path.read_text("utf-8") for path in FOLDER.glob("*.js"))]
    taken = {name for one in texts for name in re.findall(r"""(?:\$\{|")param:(\w+)""", one)}
    declared = set(yaml.safe_load(text.partition("custom:")[0])["params"]["default"])
    rows = re.findall(r"^\| (`.+?`) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert taken == declared <= told


def test_every_alarm_is_told_of_with_what_to_do(template: Template):
    rows = re.findall(r"^\| (`.+Alarm`) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told == set(template.of_type("CloudWatch::Alarm"))


def test_there_are_ten_steps():
    page = PAGE.read_text("utf-8")
    assert re.findall(r"^(\d+)\. ", page.partition("\n## ")[0], re.MULTILINE) == [
        str(number) for number in range(1, 11)
    ]


COMMANDS = [line for block in blocks() for line in block.splitlines() if "/osls " in line]


@pytest.mark.parametrize(
    "command", COMMANDS, ids=lambda line: line.split("--")[0].split("/osls ")[1]
)
def test_each_command_of_the_packager_is_one_that_it_takes_up_to_aws(
    command: str, template: Template
):
    """Roll-back and removal as well, long after the shell that deployed is gone: no image is named there."""
    nowhere = "http://127.0.0.1:9"
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(template.tree), "CI": "1", **SHELL,
        "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_ENDPOINT_URL": nowhere,
        "HTTPS_PROXY": nowhere, "SLS_AWS_REQUEST_MAX_RETRIES": "0",
    }  # fmt: skip
    ran = subprocess.run(
        ["sh", "-c", command], cwd=template.tree, env=with_node(environ),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    said = ran.stdout + ran.stderr
    assert ran.returncode != 0
    assert "onfiguration error" not in said
    assert "Inaccessible host" in said or "ECONNREFUSED" in said

"""docs/deploy-container.md, done: its block runs in a shell, with a stand-in for `docker`; what it names is there."""

import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.bundles.contents import PROVIDERS, ROOT
from tests.fixtures_aws import blocks
from tests.hosts import images

PAGE = (ROOT / "docs" / "deploy-container.md").read_text("utf-8")
NOTING = '#!/bin/sh\necho "$@" >>"$CALLS"\n'


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A folder in which the page's block was run twice, as by somebody who comes again."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "docker").write_text(NOTING)
    (tmp_path / "tools" / "docker").chmod(0o755)
    (block,) = blocks(ROOT / "docs" / "deploy-container.md")
    environ = {
        "PATH": f"{tmp_path / 'tools'}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"),
    }  # fmt: skip
    kept = ""
    for _ in range(2):
        subprocess.run(["sh", "-euc", block], cwd=tmp_path, env=environ, check=True)
        secrets = (tmp_path / ".data" / "compose.env").read_text()
        assert kept in {"", secrets}, "the second time draws none"
        kept = secrets
    return tmp_path


def test_secrets_are_drawn_once_for_their_owner_alone_and_are_those_that_compose_wants(done: Path):
    file = done / ".data" / "compose.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    drawn = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert all(re.fullmatch(r"(\w+:)?[0-9a-f]{64}", value) for value in drawn.values())
    compose = (ROOT / "infra" / "container" / "compose.yaml").read_text("utf-8")
    assert set(re.findall(r"\$\{(\w+):\?", compose)) <= drawn.keys()
    read = {one["path"] for one in yaml.safe_load(compose)["x-more"]}
    assert read == {"../../.data/compose.env"}


def test_compose_is_called_with_what_is_there(done: Path):
    calls = [shlex.split(line) for line in (done / "calls").read_text().splitlines()]
    assert [call[0] for call in calls] == ["compose"] * 4
    for call in calls:
        assert call[1:5] == [
            "--env-file",
            ".data/compose.env",
            "-f",
            "infra/container/compose.yaml",
        ]
        assert (ROOT / call[4]).exists()
    compose = yaml.safe_load((ROOT / "infra" / "container" / "compose.yaml").read_text("utf-8"))
    assert all(call[call.index("exec") + 1] in compose["services"] for call in calls[1::2])


def test_the_images_that_are_told_of_are_those_of_the_dockerfile():
    told = set(re.findall(r"crewline-(\w+)`", PAGE)) | set(re.findall(r"--target (\w+)", PAGE))
    assert told == {"http", "worker"}
    assert all(images.command_of(target) for target in told)
    (providers,) = re.findall(r'--build-arg PROVIDERS="(.+?)"', PAGE)
    assert providers.split() == list(PROVIDERS)

"""serverless.yml as AWS is given it: packaged once by osls, as docs/deploy-aws.md says, and read.

Bundles take their time to be made, so the packager is handed zips of our own files, which it only carries
on; tests/hosts/test_aws_artifacts.py has it carry real ones.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.bundles.contents import BUNDLES, own_files
from tests.fixtures_js import npm_ci, with_node

ROOT = Path(__file__).parents[1]
FOLDER, PAGE = ROOT / "infra" / "aws", ROOT / "docs" / "deploy-aws.md"
ARTIFACTS = Path(".data") / "bundles"
TEMPLATE = Path(".serverless") / "cloudformation-template-update-stack.json"
STAGE, PREFIX = "prod", "crewline-prod-"
SECRETS = "0b8d7f3e-5b0a-4f0c-9c6f-3d2a1b0c9e8f"
WORKER = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/crewline-worker@sha256:{'0f' * 32}"
SHELL = {"STAGE": STAGE, "AWS_REGION": "eu-central-1", "SECRETS": SECRETS, "WORKER": WORKER}
RESOLVE = re.compile(r"\{\{resolve:secretsmanager:([\w/-]+):SecretString:(\w+)::([\w-]+)\}\}")


@dataclass(frozen=True)
class Function:
    """A function of the template: `names` is its environment, values as CloudFormation is told them."""

    name: str
    logical_id: str
    properties: dict[str, Any]

    @property
    def names(self) -> dict[str, Any]:
        return self.properties["Environment"]["Variables"]

    @property
    def role(self) -> str:
        return self.properties["Role"]["Fn::GetAtt"][0]

    def environ(self, secret: Mapping[str, str]) -> dict[str, str]:
        """Return the environment as the function finds it, with the members of a secret."""
        return {name: _told(value, secret) for name, value in self.names.items()}


def _told(value: Any, secret: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return RESOLVE.sub(lambda found: secret[found[2]], value)
    if value == {"Ref": "WakeQueue"}:
        return "https://sqs.eu-central-1.amazonaws.com/123456789012/crewline-prod-wake"
    return f"crewline-prod-{value['Ref'].lower()}"


@dataclass(frozen=True)
class Template:
    """What CloudFormation is told, and the tree in which it was made."""

    tree: Path
    document: dict[str, Any]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of all resources of a type, by their logical id."""
        resources: dict[str, dict[str, Any]] = self.document["Resources"]
        found = {name: one for name, one in resources.items() if one["Type"] == f"AWS::{kind}"}
        return {name: one.get("Properties", {}) for name, one in found.items()}

    def functions(self) -> dict[str, Function]:
        """Return the functions by the names of their modules."""
        found = self.of_type("Lambda::Function").items()
        made = (Function(p["FunctionName"].removeprefix(PREFIX), name, p) for name, p in found)
        return {one.name: one for one in made}

    def statements(self, role: str) -> Iterator[tuple[str, str]]:
        """Yield (action, resource) of all that a role allows, a resource as `Blobs.Arn/*`."""
        for policy in self.of_type("IAM::Role")[role]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Effect"] == "Allow"
                for action in _listed(statement["Action"]):
                    for resource in _listed(statement["Resource"]):
                        yield action, plain(resource)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def plain(value: Any) -> str:
    """Return what CloudFormation makes of a value, with logical ids in the place of what only AWS knows."""
    match value:
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(text)}:
            return text.replace("${", "").replace("}", "")
        case {"Fn::Join": [between, parts]}:
            return between.join(plain(part) for part in parts)
        case {"Ref": name}:
            return name
        case _:
            return str(value)


def blocks(page: Path = PAGE) -> list[str]:
    """Return the shell blocks of a page, which are indented as its steps are."""
    found = re.findall(
        r"^( *)```sh\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def deploy_command() -> str:
    """Return the line of the page that deploys."""
    lines = [line for block in blocks() for line in block.splitlines() if " deploy --stage" in line]
    assert len(lines) == 1, lines
    return lines[0]


def package(tree: Path, modules: Path, artifacts: Path | None = None, more: str = "") -> Template:
    """Have osls package serverless.yml in a tree of its own, by the page's command and `more` parameters."""
    shutil.copy(ROOT / "serverless.yml", tree)
    shutil.copytree(FOLDER, tree / "infra" / "aws", ignore=shutil.ignore_patterns("node_modules"))
    (tree / "infra" / "aws" / "node_modules").symlink_to(modules)
    (tree / ARTIFACTS).parent.mkdir()
    if artifacts:
        (tree / ARTIFACTS).symlink_to(artifacts)
    else:
        _stand_ins(tree / ARTIFACTS)
    run = subprocess.run(
        ["sh", "-c", f"{deploy_command().replace(' deploy ', ' package ')} {more}"],
        cwd=tree, env=with_node({"PATH": os.environ["PATH"], "HOME": str(tree), "CI": "1", **SHELL}),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return Template(tree, json.loads((tree / TEMPLATE).read_text("utf-8")))


def _stand_ins(folder: Path) -> None:
    folder.mkdir()
    for name, bundle in BUNDLES.items():
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for path in own_files(bundle):
                archive.write(ROOT / path, path)


@pytest.fixture(scope="session")
def osls() -> Path:
    """Install the packager from its lock; return its folder."""
    return npm_ci(FOLDER, "--ignore-scripts", "--engine-strict")


@pytest.fixture(scope="session")
def template(osls: Path, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Package once for all test processes of a run."""
    own = tmp_path_factory.getbasetemp()
    tree = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "aws"
    with tree.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (tree / TEMPLATE).exists():
            tree.mkdir()
            return package(tree, osls)
    return Template(tree, json.loads((tree / TEMPLATE).read_text("utf-8")))


@pytest.fixture(scope="session")
def secret() -> dict[str, str]:
    """The members of the secret that the page has one make."""
    store = {"REDIS_URL": "https://x.upstash.io", "REDIS_TOKEN": "t", "PATH": os.environ["PATH"]}
    run = subprocess.run(
        [FOLDER / "secrets.sh"], env=store, check=True, capture_output=True, text=True, timeout=20
    )
    return json.loads(run.stdout)

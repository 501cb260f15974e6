"""The import contracts of pyproject.toml: what they say of the tree, and that they find what breaks them."""

import re
import shutil
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

TREE = ("clients", "core", "crews", "functions", "infra")
PLANTED = [
    ("core/webhooks/targets.py", "import starlette", "core.webhooks.targets -> starlette"),
    ("core/webhooks/dispatcher.py", "import boto3", "core.webhooks.dispatcher -> boto3"),
    ("core/flows/hub.py", "import httpx", "core.flows.hub -> httpx"),
    ("core/newcomer.py", "import fastapi", "core.newcomer -> fastapi"),
    ("core/costs/usage.py", "import crews.tools", "core.costs.usage -> crews.tools"),
    ("core/crews/worker.py", "import core.adapters.memory", "core.crews.worker -> core.adapters.memory"),
    ("core/crews/crew_runner.py", "import core.webhooks.outbox", "core.crews.crew_runner -> core.webhooks.outbox"),
    ("core/learning/learner/learner.py", "import sklearn", "core.learning.learner.learner -> sklearn"),
    ("core/learning/learner/terms.py", "import scipy", "core.learning.learner.terms -> scipy"),
    ("core/flows/pages.py", "import numpy", "core.flows.pages -> numpy"),
    ("functions/crew_amp.py", "import functions.crew_launch", "functions.crew_amp -> functions.crew_launch"),
    ("core/costs/usage.py", "import core.flows.events", "core.costs.usage -> core.flows.events"),
    ("core/costs/usage.py", "import core.learning.terms", "core.costs.usage -> core.learning.terms"),
    ("core/learning/terms.py", "import core.costs.usage", "core.learning.terms -> core.costs.usage"),
    ("core/flows/log.py", "import core.crews.ledger", "core.flows.log -> core.crews.ledger"),
    ("crews/insight.py", "import core.errors", "crews.insight -> core.errors"),
]  # fmt: skip


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What lint-imports says of a copy of the tree in which every one of PLANTED is planted."""
    copy = tmp_path_factory.mktemp("tree")
    for folder in TREE:
        python = shutil.ignore_patterns("__pycache__", "*.csv", "*.json", "node_modules")
        shutil.copytree(folder, copy / folder, ignore=python)
    shutil.copy("pyproject.toml", copy)
    for file, line, _ in PLANTED:
        with (copy / file).open("a") as module:
            module.write(f"\n{line}\n")
    command = str(Path(sys.executable).with_name("lint-imports"))
    run = subprocess.run([command], cwd=copy, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    return run.stdout


@pytest.mark.parametrize("seen", [seen for *_, seen in PLANTED])
def test_an_import_that_breaks_a_contract_is_found(broken: str, seen: str):
    assert seen in re.sub(r"\s+", " ", broken)


def test_a_module_of_the_core_without_a_place_is_found(broken: str):
    assert re.search(r"not listed as layers:\s+- core\.newcomer\n", broken)


def test_every_function_is_held_apart_from_every_other():
    contracts = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["importlinter"]
    (apart,) = (c for c in contracts["contracts"] if c["type"] == "independence")
    public = (path.stem for path in Path("functions").glob("[!_]*.py"))
    assert apart["modules"] == sorted(f"functions.{name}" for name in public)


def test_no_modules_import_each_other():
    graph = grimp.build_graph(*TREE)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    TopologicalSorter(imports).prepare()  # raises CycleError

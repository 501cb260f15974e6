"""Bundles as they are given to hosts: what is in them, how large they are, and that they run."""

import json
import re
import subprocess
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grimp
import pytest

from infra.bundles import packages
from infra.bundles.build import build
from infra.bundles.contents import BUNDLES, ROOT, own_files
from tests.fixtures_api import SECRET, process_environ
from tests.fixtures_servers import Rest
from tests.hosts.conftest import Make
from tests.hosts.test_handlers import CALLS

MB = 1024**2
MOST_MB = {
    "cost_report": 55, "crew_agui": 50, "crew_amp": 50, "crew_launch": 50, "crew_worker": 420,
    "feedback": 90, "flow_events": 12, "flow_status": 12, "retrain": 240, "sweep": 50,
}  # fmt: skip
MODULES = {"pyjwt": "jwt", "pyyaml": "yaml", "scikit-learn": "sklearn"}
OTHERWISE = {"brotli", "chardet", "jinja2"}  # imported: by its name, by clevercsv and by CrewAI
HEAVY = {"crew_worker", "retrain", "feedback"}  # tens of seconds each to make
LIKE_CREW_LAUNCH = {"crew_agui", "crew_amp", "sweep"}  # with the same packages


def in_ci(functions: set[str], long: set[str] = HEAVY) -> list[object]:
    """Return parameters of which some are for the long run."""
    marked = {name: [pytest.mark.soak] if name in long else [] for name in functions}
    return [pytest.param(name, marks=marks) for name, marks in sorted(marked.items())]


def test_every_function_has_a_bundle_and_a_bound():
    functions = {path.stem for path in (ROOT / "functions").glob("[!_]*.py")}
    assert functions == set(BUNDLES) == set(MOST_MB)


@pytest.mark.parametrize("function", in_ci(set(BUNDLES), HEAVY | LIKE_CREW_LAUNCH))
def test_what_the_host_is_given_is_no_larger_than_its_bound_and_made_for_it(
    function: str, make: Make
):
    built = make(function, packages.LAMBDA)
    size_mb = built.size_bytes / MB
    print(f"{function}: {size_mb:.1f} MB")
    assert size_mb <= MOST_MB[function]
    compiled = [path.name for path in built.folder.rglob("*.cpython-313-*.so")]
    assert compiled
    assert [name for name in compiled if "aarch64" not in name] == []


@pytest.mark.parametrize("function", in_ci(set(BUNDLES)))
def test_a_bill_of_materials_names_what_is_in_the_bundle_each_with_a_hash(
    function: str, make: Make
):
    built = make(function)
    bill = json.loads(built.bill.read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    named = {(one["name"], one["version"]) for one in bill["components"]}
    assert named == packages.installed(built.folder)
    for one in bill["components"]:
        assert all(reference["hashes"] for reference in one["externalReferences"]), one["name"]


@pytest.mark.parametrize("function", ["flow_status", "crew_launch"])
def test_no_bundle_holds_tests_stubs_or_another_function(function: str, make: Make):
    folder = make(function).folder
    assert not [path for path in folder.rglob("*") if path.name == "tests" and path.is_dir()]
    assert not list(folder.rglob("*.pyi"))
    assert [path.stem for path in (folder / "functions").glob("[!_]*.py")] == [function]


def test_all_that_a_bundle_runs_is_compiled_and_is_not_compared_with_its_source(make: Make):
    folder = make("flow_status").folder
    for path in folder.rglob("*.py"):
        compiled = path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc"
        assert compiled.read_bytes()[4:8] == b"\x01\0\0\0", path  # PEP 552: unchecked


def test_a_zip_is_the_folder_and_the_same_each_time(make: Make, tmp_path: Path):
    built = make("flow_status")
    assert built.zipped is not None
    with zipfile.ZipFile(built.zipped) as archive:
        names = set(archive.namelist())
    files = (path for path in built.folder.rglob("*") if path.is_file())
    assert names == {path.relative_to(built.folder).as_posix() for path in files}
    again = build(built.bundle, packages.TWIN, tmp_path)
    assert again.zipped is not None
    assert again.zipped.read_bytes() == built.zipped.read_bytes()


@pytest.fixture
def run(
    make: Make, python: Path, of_the_host: Path, gateway: Rest, tmp_path: Path
) -> Callable[..., Any]:
    """Run tests/bundle_process.py from a bundle; return what it prints."""
    mine = {
        name: value
        for name, value in process_environ(gateway).items()
        if name.startswith(("UPSTASH", "CREWLINE"))
    }
    mine |= {
        "CREWLINE_LEARNING_KEYS": f"k1:{SECRET}", "CREWLINE_MODEL": "offline", "HOME": str(tmp_path),
        "CREWLINE_WEBHOOK_SECRET": SECRET,
        "AWS_DEFAULT_REGION": "eu-central-1", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip

    def once(order: str, function: str, *rest: str) -> Any:
        program = Path(__file__).parents[1] / "bundle_process.py"
        ran = subprocess.run(
            [python, "-P", program, order, function, *rest],
            env=mine | {"PYTHONPATH": f"{make(function).folder}:{of_the_host}"},
            check=False, cwd=tmp_path, capture_output=True, text=True, timeout=110,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1])

    return once


@pytest.mark.parametrize("function", in_ci(set(CALLS)))
def test_a_handler_answers_from_its_bundle_alone(function: str, run: Callable[..., Any]):
    event, expected = CALLS[function]
    answer = run("invoke", function, json.dumps(event))
    assert {key: answer[key] for key in expected} == expected


@pytest.mark.parametrize("function", in_ci(set(BUNDLES)))
def test_all_that_a_function_asks_the_composition_root_for_is_in_its_bundle(
    function: str, run: Callable[..., Any]
):
    assert run("make", function) == []


def test_groups_of_bundles_name_only_what_the_project_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = project["dependency-groups"]
    bare = {
        one
        for name in ("polled", "api", "typed", "answers", "costs", "fitting")
        for one in groups[name]
        if isinstance(one, str)
    }
    pins = [*project["project"]["dependencies"], *groups["deciders"]]
    bounded = {
        name for name, bound in (re.split(r"(?=[<>=])", pin, maxsplit=1) for pin in pins) if bound
    }
    assert bare <= bounded
    assert {bundle.group for bundle in BUNDLES.values()} <= groups.keys()


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(
        "core", "crews", "functions", include_external_packages=True, exclude_type_checking_imports=True
    )  # fmt: skip


@pytest.mark.parametrize("function", sorted(BUNDLES))
def test_a_bundle_has_no_package_that_nothing_of_its_function_imports(
    function: str, imports: grimp.ImportGraph
):
    begin = {f"functions.{function}"}
    if "crews" not in BUNDLES[function].without:
        begin |= imports.find_descendants("crews")  # found by their names in crews/allow_list.py
    reached = set[str]().union(*map(imports.find_upstream_modules, begin))
    imported = {module.partition(".")[0] for module in reached}
    named = _named(BUNDLES[function].group) - OTHERWISE
    assert {MODULES.get(name, name.replace("-", "_")) for name in named} - imported == set()


def _named(group: str) -> set[str]:
    """Return the names of the packages that a group lists, and those of groups that it includes."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    listed = [one for one in groups[group] if isinstance(one, str)]
    own = {re.split(r"[\[<>=]", one)[0] for one in listed}
    included = [one["include-group"] for one in groups[group] if not isinstance(one, str)]
    return own.union(*map(_named, included))


def test_a_wrong_hash_stops_the_making(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    right = packages.requirements(BUNDLES["flow_status"])
    wrong = re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, right)
    monkeypatch.setattr(packages, "requirements", lambda _: wrong)
    with pytest.raises(subprocess.CalledProcessError):
        packages.install(BUNDLES["flow_status"], packages.TWIN, tmp_path / "b")


def test_own_files_are_code_and_what_code_reads():
    kinds = {path.suffix for path in own_files(BUNDLES["crew_worker"])}
    assert kinds <= {".py", ".lua", ".yaml", ".json", ".LICENSE"}


def test_a_deployment_with_an_issuer_of_tokens_has_the_package_that_checks_them():
    bundle = BUNDLES["flow_status"]
    assert "cryptography" not in packages.requirements(bundle)
    assert "\ncryptography==" in packages.requirements(replace(bundle, more=("oidc",)))

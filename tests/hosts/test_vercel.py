"""What vercel.json deploys: every HTTP function, each at its own paths, with all that it needs and no more."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import BaseRoute

from core.config import Settings
from infra import page

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = json.loads((ROOT / "vercel.json").read_text("utf-8"))
ELSEWHERE = {"crew_worker", "retrain"}  # CrewAI and scikit-learn do not fit beside the others
SHIMS = {path.stem: path for path in (ROOT / "api").rglob("*.py")}
ENVIRON = {
    "UPSTASH_REDIS_REST_URL": "https://x.upstash.io",
    "UPSTASH_REDIS_REST_TOKEN": "t",
    "CREWLINE_BUCKET": "b",
    "CREWLINE_JWT_KEYS": f"k:{'s3cr-t0k' * 4}",
}
MARGIN_SECONDS = 4.0  # of a function's time, beside what it means to take


def functions() -> list[str]:
    names = sorted(path.stem for path in (ROOT / "functions").glob("[!_]*.py"))
    return [name for name in names if name not in ELSEWHERE]


def routes_of(name: str) -> list[BaseRoute]:
    function = importlib.import_module(f"functions.{name}")
    return getattr(function, "router", function.app).routes


def asked(name: str) -> list[tuple[str, str, str]]:
    """Every method and path of a function's routes, with ids in the place of parameters."""
    return [
        (method, re.sub(r"\{\w+\}", "fl_3f-0A", route.path), name)  # pyright: ignore[reportAttributeAccessIssue]
        for route in routes_of(name)
        for method in sorted(route.methods)  # pyright: ignore[reportAttributeAccessIssue]
    ]


def destination(method: str, path: str) -> str:
    """Return where the first route leads that fits, as Vercel matches them: whole, and in order."""
    for route in CONFIG["routes"]:
        fits = "src" in route and re.fullmatch(route["src"], path)
        if fits and not route.get("continue") and method in route.get("methods", [method]):
            return fits.expand(route["dest"].replace("$", "\\"))
    return ""


WAYS = [way for name in functions() for way in asked(name)]


def test_every_http_function_is_deployed_and_no_other():
    assert {f"api/{path.relative_to(ROOT / 'api')}" for path in SHIMS.values()} == set(
        CONFIG["functions"]
    )
    assert sorted(SHIMS) == functions()
    for name, path in SHIMS.items():
        assert path.read_text("utf-8") == f"from functions.{name} import app\n"


@pytest.mark.parametrize(("method", "path", "name"), WAYS, ids=[f"{m} {p}" for m, p, _ in WAYS])
def test_each_request_leads_to_the_function_that_has_its_route(method: str, path: str, name: str):
    assert f"{ROOT}{destination(method, path)}.py" == str(SHIMS[name])
    assert len(WAYS) > 50


@pytest.mark.parametrize("name", functions())
def test_each_function_is_asked_how_it_is_at_a_path_of_its_own(name: str):
    assert destination("GET", f"/healthz/{name}") == f"/api/{name}"


@pytest.mark.parametrize("path", ["/health", "/healthz", "/healthz/nobody", "/nowhere", "/v1"])
def test_any_other_path_is_answered_by_a_function_that_says_what_there_is(path: str):
    assert destination("GET", path) == "/api/flow_status"


def test_a_preflight_leads_to_a_function_whatever_its_path():
    assert {destination("OPTIONS", path) for _, path, _ in WAYS} <= {
        f"/{name.removesuffix('.py')}" for name in CONFIG["functions"]
    }


def test_a_function_may_run_for_as_long_as_it_means_to():
    settings = Settings.from_environ(ENVIRON)
    limits = {Path(file).stem: each["maxDuration"] for file, each in CONFIG["functions"].items()}
    assert limits["flow_events"] >= settings.stream_seconds + MARGIN_SECONDS
    assert limits["flow_status"] >= settings.stream_seconds + MARGIN_SECONDS  # of a held poll
    assert limits["sweep"] >= settings.worker_seconds  # a margin is taken off
    assert max(limits.values()) <= 300  # what every plan allows
    page = (ROOT / "docs" / "deploy-vercel.md").read_text("utf-8")
    told = re.search(r"CREWLINE_AGUI_SECONDS=(\d+)", page)
    assert told
    assert int(told[1]) + MARGIN_SECONDS <= limits["crew_agui"]


def test_the_cron_calls_what_answers_to_its_secret():
    called = {cron["path"]: destination("GET", cron["path"]) for cron in CONFIG["crons"]}
    assert called == {"/v1/sweep": "/api/sweep"}


def test_the_page_has_the_headers_that_a_local_server_gives_it():
    first, second = CONFIG["routes"][:2]
    assert first["continue"]
    assert first["headers"] == page.HEADERS
    assert second == {"handle": "filesystem"}
    for file in ("/", *(f"/{path.name}" for path in page.PUBLIC.iterdir())):
        assert re.fullmatch(first["src"], file)
    assert not any(re.fullmatch(first["src"], path) for _, path, _ in WAYS)


def deployed(folder: Path) -> Path:
    """Copy what .vercelignore lets through: it ignores all, and then names what it does not."""
    lines = (ROOT / ".vercelignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "/*"
    for rule in rules[1:]:
        source = ROOT / rule.removeprefix("!")
        assert rule.startswith("!")
        assert source.exists(), rule
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / source.name)
    return folder


def test_what_is_deployed_has_all_that_its_functions_import_and_leaves_out_the_lock(tmp_path: Path):
    tree = deployed(tmp_path)
    assert not {"pyproject.toml", "uv.lock", "requirements.txt", "infra", "tests"} & {
        path.name for path in tree.iterdir()
    }
    for name, shim in SHIMS.items():
        path = tree / shim.relative_to(ROOT)
        code = f"import runpy; assert callable(runpy.run_path({str(path)!r})['app'])"
        environ = {"PYTHONPATH": str(tree), "PATH": os.environ["PATH"]}
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tree,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, (name, run.stderr)


def test_all_functions_install_the_same_with_hashes_and_without_crewai():
    assert [path.parent.name for path in (ROOT / "api").rglob("requirements.txt")] == ["api"]
    text = (ROOT / "api" / "requirements.txt").read_text("utf-8")
    pinned = set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))
    assert {"fastapi", "numpy", "cryptography", "boto3"} <= pinned
    assert not {"crewai", "scikit-learn", "uvicorn"} & pinned
    assert text.count("--hash=sha256:") >= len(pinned)

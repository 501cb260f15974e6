"""What a cold start loads, read in a fresh process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "boto3", "crewai", "fastapi", "genai_prices", "httpx", "mangum", "numpy", "pydantic", "sklearn",
    "upstash_redis",
}  # fmt: skip
FUNCTIONS = sorted(f"functions.{path.stem}" for path in (ROOT / "functions").glob("[!_]*.py"))


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("module", ["functions.flow_status", "functions.flow_events"])
def test_the_hot_paths_load_nothing_heavy(module: str):
    assert loaded_by(module) & HEAVY == set()


@pytest.mark.parametrize("module", ["functions.crew_launch", "functions.sweep"])
def test_the_other_functions_load_no_agents_and_no_cloud(module: str):
    assert loaded_by(module) & (HEAVY - {"fastapi", "pydantic"}) == set()


def test_what_answers_from_a_model_loads_numpy_and_nothing_that_fits_one():
    assert loaded_by("functions.feedback") & HEAVY == {"numpy", "pydantic", "fastapi"}
    assert "scipy" not in loaded_by("functions.feedback")


def test_importing_a_function_connects_to_nothing_and_reads_no_settings():
    code = (
        "import sys\n"
        "sys.addaudithook(lambda name, args: name == 'socket.connect' and sys.exit('connected'))\n"
        f"import {', '.join(FUNCTIONS)}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={})

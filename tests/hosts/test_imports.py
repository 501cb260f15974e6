"""What a cold start loads, read in a fresh process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "boto3", "crewai", "fastapi", "genai_prices", "httpx", "jsonschema_rs", "mangum", "numpy", "pydantic",
    "rapidfuzz", "scipy", "sklearn", "upstash_redis", "yaml",
}  # fmt: skip
CREWS = {"jsonschema_rs", "pydantic"}  # reading crews, and checking inputs against their schemas
ALLOWED = {
    "cost_report": {"pydantic"},
    "crew_agui": {"fastapi", *CREWS},
    "crew_amp": {"fastapi", *CREWS},
    "crew_launch": CREWS,
    "crew_worker": set[str](),  # it says that it loads before it does
    "feedback": {"pydantic"},
    "flow_events": set[str](),
    "flow_status": set[str](),
    "retrain": {"numpy"},
    "sweep": set[str](),
}
FUNCTIONS = sorted(f"functions.{path.stem}" for path in (ROOT / "functions").glob("[!_]*.py"))


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("module", FUNCTIONS)
def test_a_function_loads_of_what_is_heavy_only_what_it_cannot_do_without(module: str):
    assert loaded_by(module) & HEAVY == ALLOWED[module.partition(".")[2]]


def test_importing_a_function_connects_to_nothing_and_reads_no_settings():
    code = (
        "import sys\n"
        "sys.addaudithook(lambda name, args: name == 'socket.connect' and sys.exit('connected'))\n"
        f"import {', '.join(FUNCTIONS)}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={})

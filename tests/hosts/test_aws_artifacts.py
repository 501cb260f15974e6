"""The zips that the packager carries: each is the bundle of its function, and has the handler that the template names.

That of CI is the smallest; `-m soak` makes all.
"""

import subprocess
import zipfile
from pathlib import Path

import pytest

from infra.bundles import packages
from infra.bundles.build import build
from infra.bundles.contents import BUNDLES
from tests.fixtures_aws import ARTIFACTS, FOLDER, Template, package

SMALL = ["flow_events"]
OTHERS = sorted(set(BUNDLES) - {"crew_worker", *SMALL})
IMPORTED = """
import importlib, sys
module, _, attribute = sys.argv[1].rpartition(".")
print(callable(getattr(importlib.import_module(module), attribute)))
"""


@pytest.mark.parametrize(
    "functions", [SMALL, pytest.param(OTHERS, marks=pytest.mark.soak)], ids=["small", "others"]
)
@pytest.mark.timeout(600)
def test_each_handler_is_imported_from_its_unzipped_artifact(
    functions: list[str], template: Template, python: Path, of_the_host: Path, tmp_path: Path
):
    for name in functions:
        artifact = build(BUNDLES[name], packages.TWIN, tmp_path / "made").zipped
        assert artifact is not None, f"{name} is no zip"
        with zipfile.ZipFile(artifact) as archive:
            archive.extractall(tmp_path / name)
        handler = template.functions()[name].properties["Handler"]
        ran = subprocess.run(
            [python, "-P", "-c", IMPORTED, handler],
            env={"PYTHONPATH": f"{tmp_path / name}:{of_the_host}", "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ran.stdout == "True\n", (name, ran.stderr)


@pytest.mark.soak
def test_a_bundle_that_is_missing_stops_the_packaging(osls: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "tree").mkdir()
    with pytest.raises(AssertionError, match=str(ARTIFACTS)):
        package(tmp_path / "tree", osls, tmp_path / "empty")


def test_the_worker_s_image_is_its_bundle_on_lambda_s_python(template: Template):
    """No image is built here: what its file says is held to the bundle, which tests/hosts/test_bundles.py runs."""
    lines = (FOLDER / "worker" / "Dockerfile").read_text("utf-8").splitlines()
    steps = [line for line in lines if line and not line.startswith("#")]
    worker = template.functions()["crew_worker"].properties
    assert steps == [
        f"FROM public.ecr.aws/lambda/python:{packages.PYTHON}-arm64",
        "COPY . ${LAMBDA_TASK_ROOT}/",
        'CMD ["functions.crew_worker.handler"]',
    ]
    assert (worker["PackageType"], worker["Architectures"]) == ("Image", ["arm64"])
    assert packages.LAMBDA.platform.startswith("aarch64")

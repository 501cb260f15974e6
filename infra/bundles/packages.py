"""The packages of a bundle: named by the one lock, checked against its hashes, for the host's machine."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bundles.contents import ROOT, Bundle

PYTHON = "3.13"  # of the functions, whatever Python runs here


@dataclass(frozen=True, slots=True)
class Machine:
    """What wheels must be made for, in uv's words. Lambda's Amazon Linux 2023 has glibc 2.34."""

    platform: str


LAMBDA = Machine("aarch64-manylinux_2_28")
TWIN = Machine("x86_64-manylinux_2_28")  # the same bundle for machines that tests run on


def requirements(bundle: Bundle) -> str:
    """Return the packages of a bundle with their hashes, as pip reads them."""
    return _export(bundle, "requirements.txt")


def bill_of_materials(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """Return what is in a bundle's folder as CycloneDX: of the lock's, what this machine needs."""
    bill = json.loads(_export(bundle, "cyclonedx1.5"))
    there = installed(folder)
    bill["components"] = [one for one in bill["components"] if _named(one) in there]
    refs = {one["bom-ref"] for one in bill["components"]}
    bill["dependencies"] = [
        {"ref": one["ref"], "dependsOn": [ref for ref in one.get("dependsOn", []) if ref in refs]}
        for one in bill["dependencies"]
        if one["ref"] in refs
    ]
    bill["metadata"]["component"]["name"] = f"crewline-{bundle.function}"
    return bill


def _named(component: dict[str, Any]) -> tuple[str, str]:
    return component["name"], component["version"]


def installed(folder: Path) -> set[tuple[str, str]]:
    """Return name and version of all packages in a folder, names as the lock writes them."""
    stems = (path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
    pairs = (stem.rsplit("-", 1) for stem in stems)
    return {(name.lower().replace("_", "-").replace(".", "-"), version) for name, version in pairs}


def install(bundle: Bundle, machine: Machine, folder: Path) -> None:
    """Put the packages into a folder. Raises CalledProcessError, for a wrong hash too."""
    wanted = folder.with_suffix(".txt")
    wanted.write_text(requirements(bundle), "utf-8")
    # Without --no-deps, uv asks for what was pruned.
    run_uv(
        "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
        "--python-platform", machine.platform, "--python-version", PYTHON,
        "--target", str(folder), "--requirements", str(wanted),
    )  # fmt: skip


def _export(bundle: Bundle, form: str) -> str:
    pruned = (word for name in bundle.pruned for word in ("--prune", name))
    groups = (word for name in (bundle.group, *bundle.more) for word in ("--only-group", name))
    return run_uv(
        "export", "--quiet", "--frozen", "--no-header", "--no-emit-project", "--no-default-groups",
        "--format", form, "--preview-features", "sbom-export",
        *groups, *pruned,
    )  # fmt: skip


def run_uv(*arguments: str) -> str:
    """Return what uv prints."""
    uv = next(
        path for path in (ROOT / ".cache/tools/bin/uv", ROOT / ".venv/bin/uv") if path.exists()
    )
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    ran = subprocess.run(
        [str(uv), *arguments], cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE, text=True
    )
    return ran.stdout

"""Making a bundle: its packages and our files, without what nobody runs, compiled by the host's Python.

A function without .pyc takes more than twice the time to start. They are of the kind that is never
compared with its source (PEP 552), since a zip keeps no exact times.
"""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.bundles import packages
from infra.bundles.contents import ROOT, Bundle, own_files

UNUSED_FOLDERS = ("tests", "test", "include")
UNUSED_FILES = ("*.pyi", "*.pxd", "*.pyx", "*.h", "*.c", "*.cpp")
IN_LAMBDA = "/var/task"  # where tracebacks say that a file is
ZIP_LIMIT_BYTES = 250 * 1024**2  # AWS Lambda's, unzipped; a larger bundle goes into an image
SAME_TIME = (2020, 1, 1, 0, 0, 0)  # so that equal files make equal zips


@dataclass(frozen=True, slots=True)
class Built:
    """A bundle that was made: its folder, its size, its zip if it may be one, and what is in it."""

    bundle: Bundle
    folder: Path
    size_bytes: int
    zipped: Path | None
    bill: Path


class NoPythonError(Exception):
    """There is no Python here of the version that the functions run on."""


def build(bundle: Bundle, machine: packages.Machine, out: Path, *, zips: bool = True) -> Built:
    """Make a bundle in a folder of its name under `out`. Raises NoPythonError, CalledProcessError."""
    python = target_python()
    folder, bill = out / bundle.function, out / f"{bundle.function}.cdx.json"
    shutil.rmtree(folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    packages.install(bundle, machine, folder)
    leave_out_unused(folder)
    for path in own_files(bundle):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)  # and whether it can be executed
    compile_all(folder, python)
    bill.write_text(json.dumps(packages.bill_of_materials(bundle, folder), indent=1), "utf-8")
    size_bytes = sum(path.stat().st_size for path in _files(folder))
    fits = zips and size_bytes <= ZIP_LIMIT_BYTES
    return Built(bundle, folder, size_bytes, _zip(folder) if fits else None, bill)


def leave_out_unused(folder: Path) -> None:
    """Delete tests, headers, stubs and commands of packages."""
    shutil.rmtree(folder / "bin", ignore_errors=True)
    for name in UNUSED_FOLDERS:
        for path in list(folder.rglob(name)):
            if path.is_dir():
                shutil.rmtree(path)
    for pattern in UNUSED_FILES:
        for path in list(folder.rglob(pattern)):
            path.unlink()


def compile_all(folder: Path, python: Path) -> None:
    """Compile all that can be; a package's templates that are no Python are passed over."""
    subprocess.run(
        [python, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash",
         "-s", folder, "-p", IN_LAMBDA, folder],
        check=False, stdout=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    )  # fmt: skip


def target_python() -> Path:
    """Return a Python of the functions' version. Raises NoPythonError."""
    for candidate in _pythons():
        try:
            asked = [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
            ran = subprocess.run(asked, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        if ran.stdout.strip() == packages.PYTHON:
            return Path(candidate)
    raise NoPythonError(f"bundles are compiled by Python {packages.PYTHON}: install one")


def _pythons() -> Iterator[str]:
    """Yield where it may be; pyenv's command exists for versions that are not the chosen one, too."""
    yield f"python{packages.PYTHON}"
    yield "python3"
    of_pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for path in sorted(of_pyenv.glob(f"{packages.PYTHON}.*/bin/python"), reverse=True):
        yield str(path)


def _zip(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for file in _files(folder):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), SAME_TIME)
            entry.external_attr = (0o755 if os.access(file, os.X_OK) else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes(), compresslevel=3)
    return path


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())

"""Builds the images of `infra/container` with buildah, and runs commands in them, as root of this machine.

A test reaches no registry of images. What the Dockerfile begins with is made here, under the same name: this
machine's Python of that version, the C libraries that wheels may ask for, and a shell.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.bundles.contents import PROVIDERS, ROOT

DOCKERFILE = ROOT / "infra" / "container" / "Dockerfile"
_PROGRAMS = ("sh", "env", "mkdir", "chown", "cat")
_OF_WHEELS = (
    "libpthread",
    "libdl",
    "librt",
    "libutil",
    "libm",
    "libresolv",
    "libgcc_s",
    "libstdc++",
)
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")  # of whom this machine trusts
_FOLDERS = ("bin", "lib", "lib64")
_HERE = ("--isolation", "chroot")  # needs neither namespaces nor a daemon


def command_of(target: str) -> list[str]:
    """Return what an image begins with, by the Dockerfile."""
    text = DOCKERFILE.read_text("utf-8")
    (stage,) = re.findall(
        rf"^FROM \S+ AS {target}$(.*?)(?=^FROM|\Z)", text, re.MULTILINE | re.DOTALL
    )
    return json.loads(re.findall(r"^CMD (.+)$", stage, re.MULTILINE)[-1])


class NoBuilderError(Exception):
    """Nobody here can build an image; the message says why."""


class Builder:
    """Images and containers of one folder. Raises NoBuilderError where none can be made."""

    def __init__(self, folder: Path, python: Path) -> None:
        if shutil.which("buildah") is None:
            raise NoBuilderError("no builder of images: apt-get install buildah")
        self._folder = folder
        own = ["--root", str(folder / "images"), "--runroot", str(folder / "run")]
        self._buildah = ["buildah", *own]
        _lay_base(folder / "base", python)
        (folder / "Dockerfile").write_text(
            "FROM scratch\nCOPY base /\nENV PATH=/usr/bin\nRUN env\n"
        )
        (name,) = re.findall(r"^FROM (\S+:\S+) AS", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
        try:
            self._build(folder / "Dockerfile", folder, "--tag", f"docker.io/library/{name}")
        except AssertionError as error:
            raise NoBuilderError("buildah takes no step here; does it run as root?") from error

    def container(self, target: str) -> str:
        """Build an image, a worker's for all providers, and return the name of a container of it."""
        asked = f"--build-arg=PROVIDERS={' '.join(PROVIDERS)}"
        self._build(DOCKERFILE, ROOT, "--pull-never", "--target", target, "--tag", target, asked)
        self._call("from", "--pull-never", "--name", f"a-{target}", f"localhost/{target}")
        return f"a-{target}"

    def run(
        self, container: str, command: Iterable[str], environ: Mapping[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in a container, as its user and in its folder."""
        told = [f"--env={name}={value}" for name, value in environ.items()]
        line = [*self._buildah, "run", *_HERE, *told, container, "--", *command]
        return subprocess.run(
            line, stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=100, check=False
        )

    def remove(self) -> None:
        """Remove containers, images and the folder."""
        self._call("umount", "--all")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _build(self, dockerfile: Path, context: Path, *options: str) -> None:
        self._call("build", *_HERE, "--file", str(dockerfile), *options, str(context))

    def _call(self, *words: str) -> None:
        ran = subprocess.run([*self._buildah, *words], text=True, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]


def _lay_base(root: Path, python: Path) -> None:
    """Fill a folder as the root of an image that has a Python and little else, laid out as Debian is."""
    for name in _FOLDERS:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    asked = [python, "-c", "import sys; print(sys.base_prefix)"]
    prefix = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    unused = shutil.ignore_patterns("test", "__pycache__")
    shutil.copytree(prefix, root / prefix.relative_to("/"), symlinks=True, ignore=unused)
    for name in ("python", "pip"):
        (root / "usr/bin" / name).symlink_to(prefix / "bin" / f"{name}3")
    programs = [Path(found) for found in map(shutil.which, _PROGRAMS) if found]
    libraries = _libraries([*programs, prefix / "bin" / "python3", *prefix.rglob("*.so*")])
    (root / "etc").mkdir()
    (root / "etc" / "pip.conf").write_text(
        f"[global]\ncert = {_CERTIFICATES}\n[install]\nno-compile = true\n"
    )  # a third of the time
    for path in {*programs, *libraries, _CERTIFICATES}:
        _copy(path, root)


def _libraries(programs: Iterable[Path]) -> set[Path]:
    """Return what programs are linked with, and what wheels may be, which lies beside the C library."""
    told = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    found = {Path(path) for path in re.findall(r"(/\S+) \(0x", told)}
    libc = next(path for path in found if path.name == "libc.so.6")
    beside = {path for name in _OF_WHEELS for path in libc.parent.glob(f"{name}.so.*")}
    return found | beside


def _copy(path: Path, root: Path) -> None:
    to = root / path.relative_to("/")
    if not to.exists():  # which those of the prefix do
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path.resolve(), to)

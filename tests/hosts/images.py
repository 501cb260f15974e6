"""Reads a Dockerfile as far as ours goes, and takes its steps on this machine: no image, the same commands."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from infra.bundles.contents import ROOT

DOCKERFILE = ROOT / "infra" / "container" / "Dockerfile"
_KNOWN = {"FROM", "WORKDIR", "ENV", "COPY", "RUN", "USER", "EXPOSE", "VOLUME", "CMD"}


class Step(NamedTuple):
    instruction: str
    words: str


@dataclass(slots=True)
class Image:
    """A stage of the Dockerfile after its steps: its folder, and how it is begun."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict[str, str])
    command: list[str] = field(default_factory=list[str])
    user: str = "root"


def stages(text: str) -> dict[str, list[Step]]:
    """Return the steps of each stage, after those of the stage that it begins with."""
    found: dict[str, list[Step]] = {}
    steps: list[Step] = []
    for step in _steps(text):
        if step.instruction != "FROM":
            steps.append(step)
            continue
        base, _, name = re.split(r"\s+(AS)\s+", step.words)
        steps = found[name] = [*found.get(base, [step])]
    return found


def _steps(text: str) -> Iterator[Step]:
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            instruction, _, words = line.partition(" ")
            assert instruction in _KNOWN, f"{instruction} is not taken here"
            yield Step(instruction, words.strip())


def taken(target: str, python: Path, folder: Path) -> Image:
    """Take the steps of a stage in a folder, with a Python of the version that it begins with."""
    image, context = Image(folder / "app"), _context(folder / "context")
    image.folder.mkdir()
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    image.environ = {"PATH": f"{folder / 'venv' / 'bin'}:/usr/bin:/bin", "HOME": str(folder)}
    for instruction, words in stages(DOCKERFILE.read_text("utf-8"))[target]:
        if instruction == "ENV":
            image.environ |= dict(word.split("=", 1) for word in words.split())
        elif instruction == "COPY":
            *sources, to = words.split()
            for source in sources:
                _copy(context / source, image.folder / to)
        elif instruction == "RUN" and words.startswith("pip "):
            subprocess.run(["sh", "-c", words], check=True, cwd=image.folder, env=image.environ)
        elif instruction == "USER":
            image.user = words
        elif instruction == "CMD":
            image.command = json.loads(words)
    return image


def _copy(source: Path, to: Path) -> None:
    assert source.exists(), f"{source.name} does not reach the builder: .dockerignore"
    if source.is_dir():
        shutil.copytree(source, to)
    else:
        shutil.copy(source, to)


def _context(folder: Path) -> Path:
    """Copy what .dockerignore lets through: what it names with `!`, without what it names after that."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").split()
    kept = [line[1:] for line in lines if line.startswith("!")]
    left_out = [line.removeprefix("**/") for line in lines if line.startswith("**/")]
    folder.mkdir(parents=True)
    for name in kept:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*left_out))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder

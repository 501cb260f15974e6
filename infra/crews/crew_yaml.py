"""A crew in one `crew.yaml`, which may be a patch on another one: `extends: NAME`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from core import complaints
from core.crews.definition import Problem
from infra.crews import yaml_file
from infra.crews.source import CrewSource, SourceError, SourceFile, mapping

FILE = "crew.yaml"


def names(folder: Path) -> list[str]:
    """Return the names of all crews in a folder that are written so."""
    return sorted(path.parent.name for path in folder.glob(f"*/{FILE}"))


def base_of(folder: Path, name: str) -> Any:
    """Return what a crew extends, if anything that can be read does. Raises SourceError."""
    path = folder / name / FILE
    return mapping(yaml_file.read(path.read_text("utf-8"), str(path)).value).get("extends")


def source(folder: Path, name: str) -> CrewSource:
    """Return what the file of a crew says, on top of what it extends. Raises SourceError."""
    files = _files(folder, name, heirs=())
    return CrewSource(_whole(files), tuple(files))


def from_text(text: str) -> CrewSource:
    """Return what a text says that is such a file. Raises SourceError."""
    file = yaml_file.read(text, FILE)
    return CrewSource(file.value, (file,))


def patched(whole: Any, patch: Any) -> Any:
    """Return `whole` with a JSON merge patch (RFC 7396) applied.

    Mappings are merged key by key, a null takes its key away, all else takes the place of what
    was there.
    """
    if not isinstance(patch, dict):
        return patch
    changes, old = mapping(patch), mapping(whole)
    merged = old | {key: patched(old.get(key), value) for key, value in changes.items()}
    return {key: value for key, value in merged.items() if changes.get(key, "") is not None}


def _whole(files: list[SourceFile]) -> Any:
    """Return what files make, the first a patch on the second and so on."""
    whole = files[-1].value
    for file in reversed(files[:-1]):
        whole = patched(whole, {**mapping(file.value), "extends": None})
    return whole


def _files(folder: Path, name: str, heirs: tuple[str, ...]) -> list[SourceFile]:
    """Return a crew's file, then those that it extends; `heirs` extend it."""
    shown = f"{folder.name}/{name}/{FILE}"
    try:
        given = yaml_file.read((folder / name / FILE).read_text("utf-8"), shown)
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(Problem(shown, None, f"cannot be read: {error}")) from error
    base = mapping(given.value).get("extends")
    if base is None:
        return [given]
    if why := _cannot_extend(base, (*heirs, name), names(folder)):
        raise SourceError(Problem(shown, given.line(("extends",))[1], why))
    return [given, *_files(folder, base, (*heirs, name))]


def _cannot_extend(base: Any, heirs: tuple[str, ...], crews: Collection[str]) -> str | None:
    """Say why the last of `heirs`, each of which extends the next, cannot extend this."""
    name, there = heirs[-1], [crew for crew in crews if crew not in heirs]
    if base == name:
        return f"{name} cannot extend itself: extends: names another crew"
    if base in heirs:
        return (
            f"{name} cannot extend {base}, which extends {name}: {', '.join(heirs)} form a circle"
        )
    if base not in there:
        meant = complaints.choice(base, there)
        return f"{name} cannot extend {base!r}: there is no such crew; {meant}"
    return None

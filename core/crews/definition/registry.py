"""Where crews are found, and how one is made of another."""

from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from core.crews.definition.crew import Definition
from core.errors import InvalidInputError, NotFoundError


def parse(text: str) -> Definition:
    """Read a definition from YAML. Raises InvalidInputError that says where it is wrong."""
    return _definition(_read(text))


class Registry:
    """The crews of this deployment: one folder each, with a `crew.yaml`.

    A crew with `extends: NAME` is that crew with the rest of the file as a patch on it. What is
    handed out is the whole; its digest changes with either file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._crews: dict[str, Definition] = {}

    def names(self) -> list[str]:
        """Return the names of all crews."""
        return sorted(path.parent.name for path in self._folder.glob("*/crew.yaml"))

    def get(self, name: str) -> Definition:
        """Return the crew of this name. Raises NotFoundError; InvalidInputError if it is wrong."""
        if name not in self._crews:
            if name not in self.names():
                raise NotFoundError(f"no crew {name!r} here; there are: {', '.join(self.names())}")
            self._crews[name] = _definition(self._whole(name, heirs=()))
        return self._crews[name]

    def _whole(self, name: str, heirs: tuple[str, ...]) -> Any:
        """Return a crew's file, with what it extends; `heirs` extend it."""
        given = _read((self._folder / name / "crew.yaml").read_text("utf-8"))
        patch = _mapping(given)
        base = patch.pop("extends", None)
        if base is None:
            return given
        if base not in self.names() or base in (name, *heirs):
            raise InvalidInputError(f"the crew {name} cannot extend {base!r}")
        return patched(self._whole(base, (name, *heirs)), patch)


def patched(whole: Any, patch: Any) -> Any:
    """Return `whole` with a JSON merge patch (RFC 7396) applied.

    Mappings are merged key by key, a null takes its key away, all else takes the place of what
    was there.
    """
    if not isinstance(patch, dict):
        return patch
    changes, old = _mapping(patch), _mapping(whole)
    merged = old | {key: patched(old.get(key), value) for key, value in changes.items()}
    return {key: value for key, value in merged.items() if changes.get(key, "") is not None}


def _mapping(value: Any) -> dict[str, Any]:
    """Return a copy of a mapping; of anything else, an empty one."""
    return {**cast("dict[str, Any]", value)} if isinstance(value, dict) else {}


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInputError(f"not YAML: {error}") from error


def _definition(given: Any) -> Definition:
    try:
        return Definition.model_validate(given)
    except ValidationError as error:
        reasons = {"/" + "/".join(map(str, e["loc"])): e["msg"] for e in error.errors()}
        raise InvalidInputError(f"not a crew: {reasons}", reasons) from error

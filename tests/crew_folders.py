"""Folders of crews as a deployment has them: written, and compiled."""

from pathlib import Path

from core.crews.definition import Registry
from infra.crews import compile_all


def with_crew(folder: Path, name: str, text: str) -> None:
    """Write the `crew.yaml` of a crew, in the place of what it was, and compile all of the folder."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "crew.yaml").write_text(text)
    compile_all(folder)


def crews_in(folder: Path, **texts: str) -> Registry:
    """Return the crews of a folder to which these were added."""
    for name, text in texts.items():
        with_crew(folder, name, text)
    return Registry(folder)

"""In which of the ways a crew is written: as CrewAI's CLI makes a project, or in one `crew.yaml`."""

from pathlib import Path

from infra.crews import crew_yaml, crewai_project
from infra.crews.source import CrewSource


def names(folder: Path) -> list[str]:
    """Return the names of all crews in a folder, in order."""
    projects = (path.name for path in folder.glob("*") if crewai_project.is_one(path))
    return sorted({*crew_yaml.names(folder), *projects})


def source(folder: Path, name: str) -> CrewSource:
    """Return what the files of a crew say. Raises SourceError."""
    if crewai_project.is_one(folder / name):
        return crewai_project.source(folder, name)
    return crew_yaml.source(folder, name)

"""A crew.yaml becomes a project of CrewAI's that is the same crew."""

from pathlib import Path
from shutil import copytree

import pytest
from crewai.project.json_loader import validate_crew_project

from core.crews.definition import Registry
from core.crews.strategies.task_order import places
from infra.crews import compile_all
from infra.crews.convert import NotConvertibleError, convert
from tests.crew_folders import with_crew
from tests.unit.test_crew_files import GOOD

NAMES = Registry(Path("crews")).names()
BESIDE = """\
name: letter
description: Writes a letter.
process: sequential
agents:
  clerk: {role: Clerk, goal: Write, backstory: Wrote, max_rpm: 3}
tasks:
  first: {description: Do it., expected_output: A text., agent: clerk}
  beside: {description: Do it., expected_output: A text., agent: clerk, async_execution: true}
  last: {description: Do it., expected_output: A text., agent: clerk, context: [], guardrails: [It is short.]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        copytree(Path("crews") / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_each_crew_of_this_repository_is_the_same_as_a_project(folder: Path, name: str):
    before = Registry(folder).get(name)
    for heir in NAMES:
        if heir.startswith(f"{name}_"):
            convert(folder, heir)
    root = convert(folder, name)
    assert not (root / "crew.yaml").exists()
    validate_crew_project(root / "crew.jsonc")  # CrewAI would load it
    assert [crew.problems for crew in compile_all(folder) if crew.problems] == []
    assert Registry(folder).get(name).digest() == before.digest()


@pytest.mark.parametrize("text", [BESIDE, GOOD.replace(", not {{topic}}", "")])
def test_tasks_keep_what_they_are_told_and_checked_by(tmp_path: Path, text: str):
    with_crew(tmp_path, "letter", text)
    before = Registry(tmp_path).get("letter")
    convert(tmp_path, "letter")
    compile_all(tmp_path)
    after = Registry(tmp_path).get("letter")
    assert after.inputs == before.inputs
    assert places(after) == places(before)
    assert {**after.tasks, "beside": None} == {**before.tasks, "beside": None}


def test_a_crew_that_others_extend_is_converted_after_them(folder: Path):
    with pytest.raises(
        NotConvertibleError, match=r"research_brief_approved.* extends research_brief"
    ):
        convert(folder, "research_brief")
    assert (folder / "research_brief" / "crew.yaml").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [(GOOD, "is filled by CrewAI"), ("a: [", "not YAML"), ("name: letter", "is missing")],
)
def test_a_crew_that_cannot_be_a_project_stays_as_it_is(tmp_path: Path, text: str, why: str):
    with_crew(tmp_path, "letter", text)
    with pytest.raises(NotConvertibleError, match=why):
        convert(tmp_path, "letter")
    assert sorted(path.name for path in (tmp_path / "letter").iterdir()) == [
        "compiled.json",
        "crew.yaml",
    ]

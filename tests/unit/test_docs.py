"""What the documents say of the code is so."""

import re
from pathlib import Path

import pytest
import yaml

from infra import settings_page

ROOT = Path(__file__).parents[2]
SETTING = re.compile(r'"((?:CREWLINE|UPSTASH|QSTASH|OPENAI)_[A-Z0-9_]+|REDIS_URL)"')
OF_OTHERS = {"CREWLINE_HOST"}  # set by the local host itself


def test_every_setting_that_the_code_reads_is_in_the_list_of_settings():
    folders = (ROOT / name for name in ("core", "functions", "infra"))
    files = [path for folder in folders for path in folder.rglob("*.py")]
    read = {name for path in files for name in SETTING.findall(path.read_text("utf-8"))}
    listed = {*re.findall(r"`([A-Z0-9_]+)`", (ROOT / "docs" / "settings.md").read_text("utf-8"))}
    assert len(read) > 30
    assert read - OF_OTHERS - listed == set()
    assert "CREWLINE_MODEL" in (ROOT / "README.md").read_text("utf-8")


def test_the_page_on_settings_is_what_the_settings_declare():
    said = "run: python -m infra.settings_page"
    assert settings_page.PAGE.read_text("utf-8") == settings_page.page(), said


def test_every_promise_names_its_tests_and_they_exist():
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "|---|" not in line]
    promises = [row for row in rows if row != "| promise | test |"]
    assert len(promises) > 50
    for promise in promises:
        named = re.findall(r"`([^`]+)`", promise.rsplit(" | ", 1)[1])
        assert named, promise
        assert [test for test in named if not _exists(test)] == [], promise


def _exists(test: str) -> bool:
    """Tell whether there is a test of this id, `tests/folder/file.py::test_name`."""
    path, _, name = test.partition("::")
    file, begins = ROOT / path, rf"^(async )?def {name}\("
    return file.is_file() and bool(re.search(begins, file.read_text("utf-8"), re.MULTILINE))


def test_no_text_tells_to_install_crewline_from_an_index_where_it_is_not():
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    code = [path for name in ("core", "infra") for path in (ROOT / name).rglob("*.py")]
    of_index = re.compile(r"(?:install|add) [\"']?crewline|crewline\[\w+\]")
    assert [path for path in [*files, *code] if of_index.search(path.read_text("utf-8"))] == []


def test_the_readme_s_javascript_launches_a_crew_with_the_inputs_that_it_takes():
    program = (ROOT / "README.md").read_text("utf-8").partition("```js\n")[2].partition("```")[0]
    crew = re.search(r'crew: "(\w+)"', program)
    inputs = re.search(r"const inputs = \{(.*?)\};", program, re.DOTALL)
    assert crew
    assert inputs
    given = set(re.findall(r"(\w+): \"", inputs[1]))
    schema = yaml.safe_load((ROOT / "crews" / crew[1] / "crew.yaml").read_text("utf-8"))["inputs"]
    assert set(schema["required"]) <= given <= set(schema["properties"])


def test_the_code_map_has_a_line_for_each_package():
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    mapped = set(re.findall(r"^\| `([\w/]+)/` \|", text, re.MULTILINE))
    modules = [
        path
        for root in ("core", "functions", "infra")
        for path in (ROOT / root).rglob("*.py")
        if "node_modules" not in path.parts
    ]
    packages = {str(path.parent.relative_to(ROOT)) for path in modules}
    assert len(packages) > 10
    assert packages | {"api", "clients", "crews", "public", "tests"} == mapped


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_the_files_that_pages_name_are_there(page: str):
    named = re.findall(r"`([\w.-]+/[\w./-]+\.\w+)", (ROOT / page).read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_decision_has_a_number_of_its_own_and_is_told_in_the_same_form():
    for number, path in enumerate(sorted((ROOT / "docs" / "adr").glob("*.md")), start=1):
        lines = path.read_text("utf-8").splitlines()
        assert path.name.startswith(f"{number:04}-"), path.name
        assert lines[0].startswith(f"# {number}. "), path.name
        parts = [line.partition(".**")[0] for line in lines if line.startswith("**")]
        assert parts[:2] == ["**Context", "**Decision"], path.name
        assert parts[-1] == "**Consequences", path.name
        assert not any(line.startswith("## ") for line in lines), path.name
        assert len(lines) <= 30, path.name

"""What a mistake in a crew's file is told as: file, line and field; and what it leaves alone."""

from pathlib import Path

import pytest

from core.crews.definition import AllowList, CrewFileError, Registry
from core.errors import InvalidInputError

GOOD = """\
name: letter
description: Writes a letter.
process: sequential
inputs:
  type: object
  properties:
    topic: {type: string}
    words: {type: integer, default: 50}
agents:
  clerk:
    role: Clerk for {topic}
    goal: Write
    backstory: Wrote
tasks:
  draft:
    description: Write on {topic}, not {{topic}}.
    expected_output: A letter of {words} words
    agent: clerk
  polish:
    description: Polish it.
    expected_output: A letter.
    agent: clerk
    guardrails: [polite, "Names {topic}."]
"""
ALLOWED = AllowList({"look_up"}, {"polite"})


def registry(folder: Path, **texts: str) -> Registry:
    for name, text in texts.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "crew.yaml").write_text(text)
    return Registry(folder, ALLOWED)


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("  polish:", "  draft:", 19, "the key 'draft' stands here and in line 15"),
        ("name: letter", "name: lettre", 1, "/name: the name must be its folder's, 'letter'"),
        ("backstory:", "backstroy:", 13, "did you mean backstory?"),
        ("    goal: Write\n", "", 10, "/agents/clerk: goal is missing"),
        ("goal: Write", "goal: Write\n    verbose: true", 13, "is not needed"),
        ("goal: Write", "goal: Write\n    llm: gpt", 13, "CREWLINE_MODEL"),
        ("goal: Write", "goal: Write\n    allow_delegation: false", 13, "hierarchical delegates"),
        (
            "goal: Write",
            "goal: Write\n    tools: [serper]",
            13,
            "no such tool in crews/allow_list.py",
        ),
        (
            "goal: Write",
            "goal: Write\n    tools: [SerperDevTool]",
            13,
            "look_up; docs/crews.md says how to add one): SerperDevTool",
        ),
        ("[polite,", "[polte,", 23, "no such guardrail in crews/allow_list.py (there are: polite;"),
        ("agent: clerk\n  polish", "agent: Senior Clerk\n  polish", 18, "agent: Senior Clerk"),
        (
            "agent: clerk\n  polish",
            "agent: clerk\n    output_json: L\n  polish",
            19,
            "output_schema",
        ),
        ("process: sequential", "process: sequential\nmanager_llm: gpt-4o", 4, "write manager:"),
        ("Clerk for {topic}", "Clerk for {topci}", 11, "/agents/clerk/role: no such input: topci"),
        (
            "{words} words",
            "{wrods} words",
            17,
            "/tasks/draft/expected_output: no such input: wrods",
        ),
        (
            "Names {topic}.",
            "Names {Topic}.",
            23,
            "/tasks/polish/guardrails/1: no such input: Topic",
        ),
        ("Polish it.", "Return {x}", 20, "for the text {x} itself write {{x}}"),
        (
            "default: 50",
            "default: fifty",
            8,
            "/inputs/properties/words/default: the default does not",
        ),
        (
            "{type: integer,",
            "{type: intger,",
            8,
            "/inputs/properties/words/type: not a JSON Schema",
        ),
        ("{type: string}", "{type: string, pattern: (?=x)}", 7, "must be a regular expression"),
        ("agent: clerk\n  polish", "agent: clark\n  polish", 18, "no such agent: clark"),
        ("  clerk:", "  Clerk:", 10, "/agents/Clerk: must be a name"),
        ("process: sequential", "process: parallel", 3, "'hierarchical'"),
        ("goal: Write", "goal: a: b", 12, "not YAML: mapping values are not allowed"),
        ("Names {topic}.", "No-rule", 23, "neither the name of a guardrail nor a sentence"),
    ],
)
def test_a_mistake_is_told_with_its_file_line_and_field(
    tmp_path: Path, old: str, new: str, line: int, complaint: str
):
    assert old in GOOD
    with pytest.raises(CrewFileError) as told:
        registry(tmp_path, letter=GOOD.replace(old, new, 1)).get("letter")
    error = told.value
    assert complaint in error.error
    assert (error.crew, error.line) == ("letter", line)
    assert error.file == f"{tmp_path.name}/letter/crew.yaml"
    assert f"{error.file}, line {line}" in str(error)


def test_an_empty_file_is_told_as_such(tmp_path: Path):
    with pytest.raises(CrewFileError, match="the file is empty"):
        registry(tmp_path, letter="# soon\n").get("letter")


def test_a_mistake_in_what_a_crew_extends_is_told_with_the_file_that_makes_it(tmp_path: Path):
    base = GOOD.replace("goal: Write", "gaol: Write")
    short = "extends: letter\nname: short\ndescription: Short.\n"
    with pytest.raises(CrewFileError) as told:
        registry(tmp_path, letter=base, short=short).get("short")
    assert (told.value.crew, told.value.line) == ("short", 12)
    assert told.value.file.endswith("letter/crew.yaml")
    own = registry(tmp_path, letter=GOOD, short=short + "tasks: {polish: {agnt: clerk}}\n")
    with pytest.raises(CrewFileError, match="did you mean agent") as told:
        own.get("short")
    assert (told.value.file.endswith("short/crew.yaml"), told.value.line) == (True, 4)


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ("short", "short cannot extend itself"),
        ("lettre", "there is no such crew; did you mean letter?"),
        ("nothing", "there is no such crew; there are: letter, loop"),
        ("[letter]", "there is no such crew"),
        ("loop", "loop cannot extend short, which extends loop: short, loop form a circle"),
    ],
)
def test_what_keeps_a_crew_from_extending_another_is_told(
    tmp_path: Path, base: str, complaint: str
):
    short = f"name: short\ndescription: Short.\nextends: {base}\n"
    crews = registry(tmp_path, letter=GOOD, short=short, loop="{extends: short, name: loop}")
    with pytest.raises(CrewFileError) as told:
        crews.get("short")
    assert complaint in told.value.error
    assert "cannot extend" in told.value.error


def test_one_broken_crew_leaves_the_others_to_be_listed_and_run(tmp_path: Path):
    crews, broken = registry(tmp_path, letter=GOOD, notes="a: [").read_all()
    assert [crew.name for crew in crews] == ["letter"]
    assert [(error.crew, error.line) for error in broken] == [("notes", 2)]
    assert isinstance(broken[0], InvalidInputError)


def test_a_file_that_is_mended_is_read_again(tmp_path: Path):
    crews = registry(tmp_path, letter="a: [")
    with pytest.raises(CrewFileError):
        crews.get("letter")
    registry(tmp_path, letter=GOOD)
    assert crews.get("letter").name == "letter"


def test_every_crew_of_this_repository_names_only_what_the_deployment_has():
    from crews.allow_list import GUARDRAILS, TOOLS  # noqa: PLC0415

    crews, broken = Registry(Path("crews"), AllowList(TOOLS, GUARDRAILS)).read_all()
    assert len(crews) >= 7
    assert broken == []

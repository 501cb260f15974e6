"""What a mistake in a crew's file is told as: file, line and field; and what it leaves alone."""

from pathlib import Path

import pytest

from core.crews.definition import Agent, AllowList, CrewFileError, Definition, Registry, Task
from core.crews.definition.elements import Strict
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
            "SerperDevTool; there are: look_up",
        ),
        ("[polite,", "[polte,", 23, "polte; did you mean polite? There are: polite"),
        ("agent: clerk\n  polish", "agent: Senior Clerk\n  polish", 18, "agent: Senior Clerk"),
        (
            "agent: clerk\n  polish",
            "agent: clerk\n    output_json: L\n  polish",
            19,
            "output_schema",
        ),
        ("process: sequential", "process: sequential\nmanager_llm: gpt-4o", 4, "write manager:"),
        (
            "Clerk for {topic}",
            "Clerk for {topci}",
            11,
            "/agents/clerk/role: no such input: topci; did you mean topic?",
        ),
        (
            "{words} words",
            "{wrods} words",
            17,
            "/tasks/draft/expected_output: no such input: wrods; did you mean words?",
        ),
        (
            "Names {topic}.",
            "Names {Topic}.",
            23,
            "/tasks/polish/guardrails/1: no such input: Topic; did you mean topic?",
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
            "/inputs/properties/words/type: there is no type 'intger' in JSON Schema",
        ),
        ("{type: string}", "{type: string, pattern: (?=x)}", 7, "must be a regular expression"),
        (
            "agent: clerk\n  polish",
            "agent: clark\n  polish",
            18,
            "no such agent: clark; did you mean clerk? There are: clerk",
        ),
        (
            "agent: clerk\n    guardrails",
            "agent: clerk\n    context: [draught]\n    guardrails",
            23,
            "no earlier task: draught; did you mean draft? There are: draft",
        ),
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


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        ('human_input: "yes"', "must be true or false"),
        ("human_input: 1", "must be true or false"),
        ('async_execution: "false"', "must be true or false"),
        ('retries: "2"', "must be a whole number"),
        ("retries: 1.0", "must be a whole number"),
        ('max_execution_time: "60"', "must be a number"),
        ("max_execution_time: 0", "must be more than 0"),
        ("description: 5", "must be a text"),
        ("context: draft", "must be a list"),
    ],
)
def test_no_text_is_taken_for_a_decision_or_a_number(tmp_path: Path, field: str, complaint: str):
    name = field.partition(":")[0]
    text = GOOD.replace("    description: Polish it.\n", "") if name == "description" else GOOD
    with pytest.raises(CrewFileError) as told:
        registry(tmp_path, letter=f"{text}    {field}\n").get("letter")
    assert told.value.error == f"/tasks/polish/{name}: {complaint}"


def test_every_part_of_a_crew_is_read_strictly():
    kinds = [Strict, *Strict.__subclasses__()]
    assert {Definition, Agent, Task} <= set(kinds)
    assert [kind for kind in kinds if not kind.model_config.get("strict")] == []


@pytest.mark.parametrize(
    "text",
    ["{ topic }", "{topic }", "{{ topic }}", "{{topic | upper}}", "{topic!r}", "{topic.name}", "{topic[0]}"],
)  # fmt: skip
def test_what_looks_like_a_placeholder_and_is_none_is_told(tmp_path: Path, text: str):
    broken = GOOD.replace("Polish it.", f'"Polish {text}."')
    with pytest.raises(CrewFileError) as told:
        registry(tmp_path, letter=broken).get("letter")
    assert told.value.line == 20
    assert f"{text} is not filled: write {{topic}}" in told.value.error


@pytest.mark.parametrize(
    "text", ["{{topic}}", "{ return x }", "{ colour }", '{topic: "...", words: 5}', "{ topic: 1 }", "{}", "{ topic, words }"]
)  # fmt: skip
def test_other_braces_are_the_writers_own(tmp_path: Path, text: str):
    mine = GOOD.replace("Polish it.", f"'Polish {text}.'")
    assert (
        registry(tmp_path, letter=mine).get("letter").tasks["polish"].description
        == f"Polish {text}."
    )


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
    from crews.allow_list import DECIDERS, GUARDRAILS, TOOLS  # noqa: PLC0415

    crews, broken = Registry(Path("crews"), AllowList(TOOLS, GUARDRAILS, DECIDERS)).read_all()
    assert len(crews) >= 7
    assert broken == []


def test_a_crew_that_decides_what_the_deployment_does_not_know_is_refused(tmp_path: Path):
    crews = registry(tmp_path, letter=f"{GOOD}\ndecides: the_weather\n")
    with pytest.raises(CrewFileError) as told:
        crews.get("letter")
    assert "no such decider in crews/allow_list.py" in told.value.error

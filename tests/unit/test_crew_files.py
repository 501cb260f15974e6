"""What a mistake in a crew's file is told as: file, line and field; and what it leaves alone."""

from pathlib import Path

import pytest

from core.crews.definition import Agent, CrewFileError, Definition, Problem, Registry, Task
from core.crews.definition.elements import Strict
from core.errors import InvalidInputError
from infra.crews import compile_all
from infra.crews.allow_lists import ALLOWED as OURS
from infra.crews.compiler import compiled, drifted
from infra.crews.file_rules import AllowList

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


def problems(folder: Path, name: str = "letter", **texts: str) -> list[Problem]:
    """Return all that is wrong with one of the crews in a folder to which these were added."""
    registry(folder, **texts)
    return [
        each for crew in compiled(folder, ALLOWED) if crew.name == name for each in crew.problems
    ]


def registry(folder: Path, **texts: str) -> Registry:
    for name, text in texts.items():
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "crew.yaml").write_text(text)
    compile_all(folder, ALLOWED)
    return Registry(folder)


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("  polish:", "  draft:", 19, "the key 'draft' stands here and in line 15"),
        ("name: letter", "name: lettre", 1, "/name: the name must be its folder's, 'letter'"),
        ("backstory:", "backstroy:", 13, "did you mean backstory?"),
        ("    goal: Write\n", "", 10, "/agents/clerk/goal: is missing"),
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
    (told,) = problems(tmp_path, letter=GOOD.replace(old, new, 1))
    assert complaint in told.error
    assert (told.file, told.line) == (f"{tmp_path.name}/letter/crew.yaml", line)
    with pytest.raises(CrewFileError, match=f"the crew letter is broken: {told.file}, line {line}"):
        Registry(tmp_path).get("letter")


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
    (told,) = problems(tmp_path, letter=f"{text}    {field}\n")
    assert told.error == f"/tasks/polish/{name}: {complaint}"


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
    (told,) = problems(tmp_path, letter=broken)
    assert told.line == 20
    assert f"{text} is not filled: write {{topic}}" in told.error


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
    assert [each.error for each in problems(tmp_path, letter="# soon\n")] == ["the file is empty"]


def test_a_mistake_in_what_a_crew_extends_is_told_with_the_file_that_makes_it(tmp_path: Path):
    base = GOOD.replace("goal: Write", "gaol: Write")
    short = "extends: letter\nname: short\ndescription: Short.\n"
    (told,) = problems(tmp_path, "short", letter=base, short=short)
    assert (told.file, told.line) == (f"{tmp_path.name}/letter/crew.yaml", 12)
    wrong = short + "tasks: {polish: {agnt: clerk}}\n"
    (told,) = problems(tmp_path, "short", letter=GOOD, short=wrong)
    assert "did you mean agent" in told.error
    assert (told.file, told.line) == (f"{tmp_path.name}/short/crew.yaml", 4)


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
    loop = "{extends: short, name: loop}"
    (told,) = problems(tmp_path, "short", letter=GOOD, short=short, loop=loop)
    assert complaint in told.error
    assert "cannot extend" in told.error


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_lines(tmp_path: Path):
    changes = {
        "name: letter": "name: lettre",
        "default: 50": "default: fifty",
        "Clerk for {topic}": "Clerk for {topci}",
        "    goal: Write\n": "    verbose: true\n    tools: [serper]\n",
        "agent: clerk\n  polish": "agent: clark\n    retries: many\n  polish",
        "Polish it.": "Polish {wrods}.",
        "[polite,": "[polte,",
    }
    text = f"{GOOD}    context: [draught]\n"
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    assert [(each.line, each.error.split("; ")[0]) for each in problems(tmp_path, letter=text)] == [
        (1, "/name: the name must be its folder's, 'letter', not 'lettre'"),
        (8, '/inputs/properties/words/default: the default does not fit: it is not of type "integer"'),
        (10, "/agents/clerk/goal: is missing"),
        (11, "/agents/clerk/role: no such input: topci"),
        (12, "/agents/clerk/verbose: is not needed: every event of a flow is in its log"),
        (13, "/agents/clerk/tools: no such tool in crews/allow_list.py (docs/crews.md says how to add one): serper"),
        (19, "/tasks/draft/agent: task draft: no such agent: clark"),
        (20, "/tasks/draft/retries: must be a whole number"),
        (22, "/tasks/polish/description: no such input: wrods"),
        (25, "/tasks/polish/guardrails: no such guardrail in crews/allow_list.py (docs/crews.md says how to add one): polte"),
        (26, "/tasks/polish/context: task polish: context is no earlier task: draught"),
    ]  # fmt: skip


def test_one_broken_crew_leaves_the_others_to_be_listed_and_run(tmp_path: Path):
    crews, broken = registry(tmp_path, letter=GOOD, notes="a: [").read_all()
    assert [crew.name for crew in crews] == ["letter"]
    assert [(error.crew, error.problems[0].line) for error in broken] == [("notes", 2)]
    assert isinstance(broken[0], InvalidInputError)


def test_a_file_that_is_mended_is_read_again(tmp_path: Path):
    crews = registry(tmp_path, letter="a: [")
    with pytest.raises(CrewFileError):
        crews.get("letter")
    registry(tmp_path, letter=GOOD)
    assert crews.get("letter").name == "letter"


def test_every_crew_of_this_repository_is_compiled_as_it_is_written():
    crews = list(compiled(Path("crews"), OURS))
    assert len(crews) >= 7
    assert [each for crew in crews for each in crew.problems] == []
    assert drifted(Path("crews"), crews) == []
    assert Registry(Path("crews")).read_all() == ([crew.definition for crew in crews], [])


def test_what_was_compiled_of_a_crew_that_is_gone_goes_too(tmp_path: Path):
    registry(tmp_path, letter=GOOD)
    (tmp_path / "letter" / "crew.yaml").unlink()
    assert drifted(tmp_path, list(compiled(tmp_path))) == [tmp_path / "letter" / "compiled.json"]
    assert registry(tmp_path).names() == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"definition": {"name": "letter"}}', '{"problems": 5}']
)
def test_what_another_version_compiled_is_told_as_such(tmp_path: Path, text: str):
    crews = registry(tmp_path, letter=GOOD)
    (tmp_path / "letter" / "compiled.json").write_text(text)
    with pytest.raises(CrewFileError, match=r"letter/compiled\.json: was made by another version"):
        crews.get("letter")


def test_a_crew_that_decides_what_the_deployment_does_not_know_is_refused(tmp_path: Path):
    (told,) = problems(tmp_path, letter=f"{GOOD}\ndecides: the_weather\n")
    assert "no such decider in crews/allow_list.py" in told.error

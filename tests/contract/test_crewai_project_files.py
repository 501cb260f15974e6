"""What is wrong with a project of CrewAI's is told with file, line and field; what is left out, with a word."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crewai.project.json_loader import validate_crew_project
from crewai_cli.create_json_crew import create_json_crew

from core.crews.definition import Definition, Problem, Registry
from infra.crews import compile_all
from infra.crews.compiler import compiled, drifted
from infra.crews.file_rules import AllowList

ALLOWED = AllowList({"look_up"}, {"polite"})
CREW = """\
// A letter
{
  "name": "Letters",
  "agents": ["clerk"],
  "tasks": [
    {
      "name": "draft",
      "description": "Write on {topic}.", // with a comment
      "expected_output": "A letter.",
      "agent": "clerk"
    },
    {
      "name": "polish",
      "description": "Polish it.",
      "expected_output": "A letter of {words} words.",
      "agent": "clerk",
      "context": ["draft"],
    },
  ],
  "inputs": {"topic": "tea", "words": 50}
}
"""
CLERK = """\
{
  "role": "Clerk",
  "goal": "Write",
  "backstory": "Wrote",
  "settings": {
    "max_iter": 5
  }
}
"""
OURS = """\
description: Writes a letter.
tasks:
  polish:
    retries: 2
    guardrails: [polite]
"""


def written(folder: Path, crew: str = CREW, clerk: str = CLERK, ours: str = OURS) -> Path:
    root = folder / "letter"
    (root / "agents").mkdir(parents=True)
    (root / "crew.jsonc").write_text(crew)
    (root / "agents" / "clerk.jsonc").write_text(clerk)
    (root / "crewline.yaml").write_text(ours)
    return folder


def problems(folder: Path) -> list[Problem]:
    (crew,) = compiled(folder, ALLOWED)
    return list(crew.problems)


def crew_of(folder: Path) -> Definition:
    (crew,) = compiled(folder, ALLOWED)
    assert crew.problems == ()
    assert crew.definition is not None
    return crew.definition


def test_a_project_is_a_crew_with_what_crewline_adds_beside_it(tmp_path: Path):
    crew = crew_of(written(tmp_path))
    assert (crew.name, crew.description) == ("letter", "Writes a letter.")
    assert crew.agents["clerk"].max_iter == 5
    assert (crew.tasks["polish"].retries, crew.tasks["polish"].guardrails) == (2, ["polite"])
    assert crew.inputs == {
        "type": "object",
        "properties": {
            "topic": {"type": "string", "default": "tea"},
            "words": {"type": "integer", "default": 50},
        },
        "required": [],
        "additionalProperties": False,
    }
    validate_crew_project(tmp_path / "letter" / "crew.jsonc")  # CrewAI still loads it


def test_what_has_no_default_is_asked_for(tmp_path: Path):
    crew = crew_of(written(tmp_path, CREW.replace('"topic": "tea", ', "")))
    assert crew.inputs["required"] == ["topic"]
    assert crew.inputs["properties"]["topic"] == {"type": "string"}


def test_a_schema_of_ones_own_takes_the_place_of_the_one_that_is_made(tmp_path: Path):
    schema = (
        "inputs: {type: object, properties: {topic: {type: string, maxLength: 9}, words: {}}}\n"
    )
    crew = crew_of(written(tmp_path, ours=schema))
    assert crew.inputs["properties"]["topic"] == {
        "type": "string",
        "maxLength": 9,
        "default": "tea",
    }
    assert crew.with_defaults({}) == {"topic": "tea", "words": 50}


def test_a_project_may_find_its_answer_by_consensus(tmp_path: Path):
    crew = CREW.replace('["clerk"]', '["clerk", "other"]').replace(", // with a comment", ",")
    crew = crew.replace('"agent": "clerk",', "").replace('"agent": "clerk"', '"human_input": true')
    ours = "process: consensus\nconsensus: {agents: [clerk, other], threshold: 0.5}\n"
    written(tmp_path, crew, ours=ours)
    (tmp_path / "letter" / "agents" / "other.json").write_text(CLERK)
    made = crew_of(tmp_path)
    assert made.consensus is not None
    assert (made.process, made.consensus.threshold) == ("consensus", 0.5)


def in_crew(old: str, new: str) -> Callable[[Path], None]:
    assert old in CREW
    return lambda folder: (folder / "crew.jsonc").write_text(CREW.replace(old, new, 1)) and None


def in_clerk(old: str, new: str) -> Callable[[Path], None]:
    assert old in CLERK
    path = "agents/clerk.jsonc"
    return lambda folder: (folder / path).write_text(CLERK.replace(old, new, 1)) and None


def in_ours(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "crewline.yaml").write_text(text) and None


CREW_FILE, CLERK_FILE, OUR_FILE = "crew.jsonc", "agents/clerk.jsonc", "crewline.yaml"
MISTAKES: list[tuple[Callable[[Path], None], str, int | None, str]] = [
    (in_crew('"Letters",', '"Letters"'), CREW_FILE, 4, "not JSON: Expecting ',' delimiter"),
    (in_crew('  "inputs"', '  "agents": ["clerk"],\n  "inputs"'), CREW_FILE, 20, "'agents' stands here and in line 4"),
    (in_crew('["clerk"]', '["clark"]'), CREW_FILE, 4, "/agents/0: there is no agents/clark.jsonc; did you mean clerk?"),
    (in_crew('["clerk"]', '["../clerk"]'), CREW_FILE, 4, "/agents/0: there is no agents/../clerk.jsonc"),
    (in_crew('"agent": "clerk"', '"agent": "clark"'), CREW_FILE, 10, "no such agent: clark; did you mean clerk?"),
    (in_crew('["draft"]', '["darft"]'), CREW_FILE, 17, "no earlier task: darft; did you mean draft?"),
    (in_crew('"name": "polish"', '"name": "draft"'), CREW_FILE, 13, "/tasks/1/name: there is a task draft already"),
    (in_crew('"expected_output": "A letter."', '"expected": "A letter."'), CREW_FILE, 9, "did you mean expected_output?"),
    (in_crew('"context": ["draft"]', '"human_input": "yes"'), CREW_FILE, 17, "/tasks/polish/human_input: must be true or false"),
    (in_crew('"context": ["draft"]', '"async_execution": 1'), CREW_FILE, 17, "must be true or false"),
    (in_crew('"context": ["draft"]', '"output_pydantic": {"python": "m.A"}'), CREW_FILE, 17, "output_schema"),
    (in_crew('"context": ["draft"]', '"tools": ["custom:seek"]'), "tools/seek.py", None, "there is no such file for custom:seek"),
    (in_crew('"context": ["draft"]', '"tools": ["custom:../seek"]'), "tools/../seek.py", None, "there is no such file"),
    (in_crew('"context": ["draft"]', '"tools": ["SerperDevTool"]'), CREW_FILE, 17, "no such tool in crews/allow_list.py"),
    (in_crew('"context": ["draft"]', '"guardrail": {"python": "m.f"}'), CREW_FILE, 17, "guardrails: [...]"),
    (in_crew('"name": "Letters"', '"process": "parallel"'), CREW_FILE, 3, "'hierarchical'"),
    (in_crew('"name": "Letters"', '"process": "hierarchical", "manager_llm": "gpt"'), CREW_FILE, 3, "manager"),
    (in_crew('"name": "Letters"', '"planning": true'), CREW_FILE, 3, "/planning: is not supported"),
    (in_crew("Polish it.", "Polish {{topic}}."), CREW_FILE, 14, "{{topic}} is filled by CrewAI"),
    (in_clerk('"goal"', '"gaol"'), CLERK_FILE, 3, "/agents/clerk/gaol: there is no such key; did you mean goal?"),
    (in_clerk('  "goal": "Write",\n', ""), CLERK_FILE, 1, "/agents/clerk/goal: is missing"),
    (in_clerk('"Wrote"', "7"), CLERK_FILE, 4, "/agents/clerk/backstory: must be a text"),
    (in_clerk('"max_iter": 5', '"max_iter": "five"'), CLERK_FILE, 6, "/agents/clerk/max_iter: must be a whole number"),
    (in_clerk('"max_iter": 5', '"max_itr": 5'), CLERK_FILE, 6, "did you mean max_iter?"),
    (in_clerk('"max_iter": 5', '"allow_delegation": true'), CLERK_FILE, 6, "hierarchical delegates"),
    (in_clerk("{\n", "[\n"), CLERK_FILE, 2, "not JSON"),
    (in_ours("tasks: {polsh: {retries: 1}}"), OUR_FILE, 1, "/tasks/polsh: there is none in the project: draft, polish"),
    (in_ours("tasks: {polish: {agent: clerk}}"), OUR_FILE, 1, "/tasks/polish/agent: is CrewAI's to say"),
    (in_ours("\nverbose: true"), OUR_FILE, 2, "/verbose: is CrewAI's to say"),
    (in_ours("tasks: {polish: {guardrails: [plite]}}"), OUR_FILE, 1, "plite; did you mean polite?"),
    (in_ours("tasks: {polish: {output_schema: {type: strnig}}}"), OUR_FILE, 1, "there is no type 'strnig'"),
    (in_ours("agents: {clerk: {tools: [lok_up]}}"), OUR_FILE, 1, "lok_up; did you mean look_up?"),
    (in_ours("a: ["), OUR_FILE, 2, "not YAML"),
    (in_ours("inputs: {type: object, properties: {topic: {type: integer}, words: {}}}"), CREW_FILE, 20,
     "/inputs/properties/topic/default: the default does not fit"),
    (in_ours("inputs: {type: object, properties: {topci: {}, words: {}}}"), CREW_FILE, 8, "topic; did you mean topci?"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "file", "line", "complaint"), MISTAKES)
def test_a_mistake_is_told_with_its_file_line_and_field(
    tmp_path: Path, make: Callable[[Path], None], file: str, line: int, complaint: str
):
    written(tmp_path)
    make(tmp_path / "letter")
    told = problems(tmp_path)
    assert complaint in told[0].error, told
    assert (told[0].file, told[0].line) == (f"{tmp_path.name}/letter/{file}", line)


def test_all_that_is_wrong_in_all_files_is_told_at_once(tmp_path: Path):
    written(
        tmp_path,
        CREW.replace('"agent": "clerk"', '"agent": "clark"', 1).replace('["draft"]', '["darft"]'),
        CLERK.replace('"goal"', '"gaol"'),
        OURS.replace("polite", "plite"),
    )
    assert [(each.file.split("/")[-1], each.line) for each in problems(tmp_path)] == [
        ("clerk.jsonc", 3), ("crew.jsonc", 10), ("crew.jsonc", 17), ("crewline.yaml", 5),
    ]  # fmt: skip


def test_what_crewai_itself_would_not_load_is_told_in_its_words(tmp_path: Path):
    written(tmp_path, CREW.replace('"agent": "clerk",', '"agent": "clerk", "id": "x",', 1))
    (told,) = problems(tmp_path)
    assert "id" in told.error


@pytest.mark.parametrize(
    ("clerk", "note"),
    [
        ('"llm": "openai/gpt-4o"', "llm is left out: CREWLINE_MODEL chooses the model"),
        ('"memory": true', "memory is left out"),
    ],
)
def test_what_is_left_out_is_told_and_keeps_nothing_from_running(
    tmp_path: Path, clerk: str, note: str
):
    written(tmp_path, clerk=CLERK.replace('"max_iter": 5', clerk))
    (crew,) = compiled(tmp_path, ALLOWED)
    assert crew.definition is not None
    assert [(each.file.split("/")[-1], note in each.error) for each in crew.checked.notes] == [
        ("clerk.jsonc", True)
    ]


def test_an_input_that_is_nearly_another_is_told(tmp_path: Path):
    written(tmp_path, CREW.replace("on {topic}", "on {topci}"))
    (crew,) = compiled(tmp_path, ALLOWED)
    assert crew.problems == ()
    assert [
        "{topci} is an input of its own; did you mean {topic}?" in n.error
        for n in crew.checked.notes
    ] == [True]


def test_the_project_that_crewais_cli_makes_is_a_crew_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CREWAI_DMN", "1")  # without its questions
    create_json_crew("Poems on tea", skip_provider=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (crew,) = compile_all(tmp_path)
    assert crew.problems == ()
    assert Registry(tmp_path).get("poems_on_tea").tasks["research_task"].agent == "researcher"
    assert drifted(tmp_path, [crew]) == []
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert [path.name for path in after.keys() - before.keys()] == ["compiled.json"]
    assert all(after[path] == data for path, data in before.items())


def test_no_code_of_a_project_runs_when_it_is_compiled(tmp_path: Path):
    written(tmp_path, CREW.replace('"context": ["draft"]', '"tools": ["custom:seek"]'))
    (tmp_path / "letter" / "tools").mkdir()
    tool = "from crewai.tools import BaseTool\nraise SystemExit('run')\n"
    (tmp_path / "letter" / "tools" / "seek.py").write_text(tool)
    assert crew_of(tmp_path).tasks["polish"].tools == ["crews.letter.tools.seek"]


@pytest.mark.parametrize(
    "crew",
    ["[]", '"x"', "{}", '{"agents": {}, "tasks": {}}', '{"agents": ["clerk"], "tasks": [5, null]}',
     '{"agents": [["clerk"]], "tasks": "x", "inputs": 5, "process": 5}'],
)  # fmt: skip
def test_a_crew_that_is_of_no_such_form_is_told_and_not_raised(tmp_path: Path, crew: str):
    assert problems(written(tmp_path, crew))


@pytest.mark.parametrize(
    "clerk", ["[]", "5", '{"settings": 5}', '{"role": {}, "goal": [], "backstory": null}']
)
def test_an_agent_that_is_of_no_such_form_is_told_and_not_raised(tmp_path: Path, clerk: str):
    assert problems(written(tmp_path, clerk=clerk))


@pytest.mark.parametrize(
    "ours", ["[]", "tasks: 5", "tasks: {draft: 5}", "agents: [clerk]", "inputs: 5"]
)
def test_what_crewline_adds_in_no_such_form_is_told_and_not_raised(tmp_path: Path, ours: str):
    assert problems(written(tmp_path, ours=ours))


def test_json_is_read_as_such_whatever_yaml_would_make_of_it(tmp_path: Path):
    text = 'Tabs\there: - "a": {topic} # no comment, // neither \\u2028 \\ud83c\\udf75'
    crew = CREW.replace(
        '"Polish it."', json.dumps(text).replace("\\\\u", "\\u").replace("\\\\d", "\\d")
    )
    crew = crew.replace("\n    ", "\n\t")
    made: Any = crew_of(written(tmp_path, crew)).tasks["polish"].description
    assert made.startswith('Tabs\there: - "a": {topic} # no comment, // neither ')

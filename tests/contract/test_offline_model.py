"""The offline model against real CrewAI: agents, tasks and crews as the worker builds them."""
# ruff: noqa: PLC0415 -- CrewAI reads the environment, which a fixture sets, when it is imported

import contextvars
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from pydantic import BaseModel, create_model

from core.crews.definition import Definition
from crews.import_mapping import skill
from crews.import_mapping.cpu_limit import TooMuchWork
from crews.import_mapping.tools import profile_csv
from infra.crews import parse
from infra.mapping_score import CREW, score, truths

QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "OTEL_SDK_DISABLED": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_TESTING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
}

FILE = "in_" + "1" * 32


@pytest.fixture(scope="module", autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory):
    """CrewAI reads these when it is imported."""
    home = str(tmp_path_factory.mktemp("crewai"))
    with pytest.MonkeyPatch.context() as environ:
        for name, value in QUIET.items() | {("HOME", home), ("CREWAI_STORAGE_DIR", home)}:
            environ.setenv(name, value)
        yield


class OneFile:
    """Inputs that hold one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tell(self, insight: str) -> None:
        assert insight

    def seconds_left(self) -> float:
        return 60

    def size(self, input_id: str) -> int:
        assert input_id == FILE
        return self.path.stat().st_size

    def open(self, input_id: str) -> BinaryIO:
        assert input_id == FILE
        return self.path.open("rb")


def tool(path: Path) -> Any:
    from crewai.tools import BaseTool

    class ProfileCsv(BaseTool):
        name: str = "profile_csv"
        description: str = profile_csv.__doc__ or ""
        args_schema: Any = create_model("Arguments", file=(str, ...))

        def _run(self, file: str) -> str:
            return profile_csv(OneFile(path), file)

    return ProfileCsv()


def run_step(crew: Definition, name: str, path: Path, done: dict[str, str], lessons: str = ""):
    """One task in a crew of its own; earlier tasks are stubs that hold their stored output."""
    from crewai import Agent, Crew, Task
    from crewai.tasks.task_output import TaskOutput

    from core.adapters.offline.model import OfflineModel

    task, role = crew.tasks[name], crew.agents[crew.tasks[name].agent]
    agent = Agent(
        role=role.role,
        goal=role.goal,
        backstory=role.backstory,
        llm=OfflineModel([skill.map_columns], stream=True),
        tools=[tool(path)] if task.tools else [],
    )
    context = [Task(description=each, expected_output=each, agent=agent) for each in done]
    for stub, stored in zip(context, done.values(), strict=True):
        stub.output = TaskOutput.model_validate_json(stored)
    description = task.description
    for key, value in crew.with_defaults({"file": FILE}).items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        description = description.replace(f"{{{key}}}", text)
    real = Task(
        description=description + lessons,
        expected_output=task.expected_output,
        agent=agent,
        context=context,
    )
    Crew(agents=[agent], tasks=[real]).kickoff()
    assert real.output is not None
    return real.output.raw, real.output.model_dump_json()


def run_crew(path: Path, lessons: str = "") -> dict[str, Any]:
    crew = parse((CREW / "crew.yaml").read_text("utf-8"))
    done: dict[str, str] = {}
    raw = ""
    for name in crew.tasks:
        raw, done[name] = run_step(crew, name, path, done, lessons)
    return json.loads(raw)


def collect(work: Callable[[], Any]) -> list[Any]:
    """The events that CrewAI emits while the work runs."""
    from crewai.events.stream_context import add_stream_sink

    seen: list[Any] = []

    def watched() -> None:
        add_stream_sink(lambda _, event: seen.append(event))
        work()

    contextvars.copy_context().run(watched)
    return seen


def ask(text: str, **settings: Any) -> Any:
    from core.adapters.offline.model import OfflineModel

    return OfflineModel(**settings).call(text)


@pytest.mark.parametrize("name", ["nl_bag.csv", "us_or_portland.csv"])
def test_the_crew_maps_a_real_file_with_real_crewai(name: str):
    mapping = run_crew(CREW / "examples" / name)
    assert score(mapping["columns"], truths()[name]).f1 >= 0.9
    assert mapping["model"] == "crewline/offline"


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_the_crew_reads_japanese_in_either_encoding(tmp_path: Path, encoding: str):
    path = tmp_path / "jp.csv"
    path.write_text("緯度,経度,市区町村名\n34.69,135.19,神戸市\n34.7,135.2,尼崎市\n", encoding)
    fields = [entry["field"] for entry in run_crew(path)["columns"]]
    assert fields == ["lat", "lon", "city"]


def test_a_lesson_in_the_prompt_changes_the_mapping(tmp_path: Path):
    path = tmp_path / "latin.csv"
    path.write_text("BOKST;götuheiti\nA;Rauðavatn\nB;Hlíð\n", "latin-1")
    told = run_crew(path, '\n\nLessons:\n- column "bokst" -> unit')["columns"]
    assert told[0]["field"] == "unit"
    assert run_crew(path)["columns"][0]["field"] != "unit"


def test_every_call_reports_started_chunks_and_usage_of_four_characters_a_token():
    events = collect(lambda: ask("word " * 100, stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "llm_call_started"
    assert "llm_stream_chunk" in kinds
    assert kinds[-1] == "llm_call_completed"
    text = "".join(event.chunk for event in events if event.type == "llm_stream_chunk")
    assert events[-1].usage["prompt_tokens"] == 125
    assert events[-1].usage["completion_tokens"] == -(-len(text) // 4)
    assert len({event.call_id for event in events}) == 1


def test_an_answer_quotes_the_context_and_says_whose_it_is():
    asked = (
        "Which ship sank?\nThis is the context you're working with:\nThe ship Vasa sank. It rained."
    )
    answer = ask(asked)
    assert "offline model" in answer
    assert "The ship Vasa sank." in answer
    assert "rained" not in answer


@pytest.mark.parametrize("told", ["The Vasa sank in 1628.", ""])
def test_an_answer_never_quotes_lessons(told: str):
    from core.adapters.crewai.asked import LESSONS
    from core.adapters.offline.quotes import CLOSING, joined

    lessons = f"{LESSONS}\n- Readers liked notes on ships that sank best as bullet points."
    asked = joined("When did the Vasa sink? Notes count.\n\n", [*filter(None, [told]), lessons])
    assert asked.endswith(CLOSING)
    answer = ask(asked)
    assert "Lessons" not in answer
    assert "Readers" not in answer
    assert told in answer


def test_the_first_skill_that_answers_is_taken():
    skills = [lambda _: None, lambda prompt: prompt.upper(), lambda _: "never"]
    assert ask("abc", skills=skills) == "ABC"


def test_max_tokens_cuts_the_answer():
    events = collect(lambda: ask("x", skills=[lambda _: "a" * 100], max_tokens=5))
    assert events[-1].response == "a" * 20
    assert events[-1].finish_reason == "length"


def test_a_structured_answer_is_validated():
    from core.adapters.offline.model import OfflineModel

    class Vote(BaseModel):
        yes: bool

    model = OfflineModel([lambda _: '{"yes": true}'])
    assert model.call("vote", response_model=Vote) == Vote(yes=True)


def test_a_tool_is_called_once_and_only_when_its_arguments_are_there():
    from core.adapters.offline.model import tool_calls

    schema = {"properties": {"file": {"type": "string"}}, "required": ["file"]}
    tools = [{"type": "function", "function": {"name": "profile_csv", "parameters": schema}}]
    asked = [{"role": "user", "content": "Use profile_csv with file = in_1"}]
    (call,) = tool_calls(asked, tools)
    assert json.loads(call["function"]["arguments"]) == {"file": "in_1"}
    assert tool_calls([{"role": "user", "content": "Use profile_csv"}], tools) == []
    assert tool_calls([*asked, {"role": "tool", "content": "{}"}], tools) == []


def test_a_hook_stops_the_call_and_the_call_says_that_it_was_denied():
    from crewai.hooks.dispatch import HookAborted, InterceptionPoint, register_scoped, scoped_hooks

    def refuse(_: Any) -> None:
        raise HookAborted("no budget")

    def work() -> None:
        with scoped_hooks():
            register_scoped(InterceptionPoint.PRE_MODEL_CALL, refuse)
            with pytest.raises(HookAborted):
                ask("x")

    assert collect(work)[-1].type == "llm_call_failed"


def test_a_skill_that_breaks_is_a_failed_call():
    def broken(_: str) -> str:
        raise KeyError("bad profile")

    def work() -> None:
        with pytest.raises(KeyError, match="bad profile"):
            ask("x", skills=[broken])

    assert collect(work)[-1].type == "llm_call_failed"


async def test_asked_asynchronously_it_answers_the_same():
    from core.adapters.offline.model import OfflineModel

    model = OfflineModel([str.upper])
    assert await model.acall("abc") == model.call("abc")


def test_skill_and_model_agree_on_the_name():
    from core.adapters.offline.model import MODEL

    assert skill.MODEL == MODEL


async def test_what_a_skill_cannot_do_is_told_to_the_user_in_its_own_words():
    from core.adapters.offline.model import OfflineModel
    from core.crews.crew_runner import StepFailedError
    from tests.crewai_parts import a_crew, a_harness, a_step

    def too_much(_: str) -> None:
        raise TooMuchWork("shorten x-names, or split the file")

    with pytest.raises(StepFailedError, match=r"^shorten x-names, or split the file$"):
        await a_harness(llm=lambda: OfflineModel([too_much])).run(a_step(a_crew()))

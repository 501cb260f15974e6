"""CrewAI's own projects, run step by step: each prompt is the one of `crewai run`, word for word."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import crews
from core.adapters.crewai.models import model_from
from core.crews.definition import Registry
from crews.loading import AllowListError, load_project_tool, load_project_tools
from infra.crews import compile_all
from infra.dry_run import run_crew
from tests.crewai_corpus import CORPUS, WRITER, project, task, written
from tests.crewai_parts import CataloguePriceBook, CrewAIRunner, MemoryBlobs
from tests.model_server import Provider, a_provider, serving

Asked = list[str]


@pytest.fixture
def model() -> Iterator[tuple[str, Asked]]:
    """A server whose answers tell the prompts apart, and what it was asked."""
    asked = Asked()

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return f"Answer {sum(prompt.encode())}."

    with serving(answer) as url:
        yield url, asked


def crewai_run(root: Path, url: str, inputs: Mapping[str, Any]) -> str:
    """Run a project as `crewai run` does: in one process, by CrewAI's own loader."""
    from crewai import LLM  # noqa: PLC0415
    from crewai.project.crew_loader import load_crew  # noqa: PLC0415

    crew, defaults = load_crew(root / "crew.jsonc")
    for agent in crew.agents:
        agent.llm = LLM("m", base_url=url, api_key="k", custom_openai=True)
    return crew.kickoff(inputs={**defaults, **inputs}).raw


def runner(url: str, tools: Mapping[str, Any] | None = None) -> CrewAIRunner:
    model = model_from("m", url, None)
    return CrewAIRunner(model, tools or {}, {}, CataloguePriceBook(), MemoryBlobs())


@pytest.mark.parametrize("name", CORPUS)
async def test_a_step_asks_what_crewai_asks_in_one_process(
    tmp_path: Path, model: tuple[str, Asked], monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv(
        "OPENAI_API_KEY", "k"
    )  # CrewAI's loader makes a client before it is replaced
    url, asked = model
    root = written(tmp_path, name, CORPUS[name])
    (crew,) = compile_all(tmp_path)
    assert crew.problems == ()
    _, output = await run_crew(Registry(tmp_path).get(name), {}, runner(url))
    ours = sorted(asked)
    asked.clear()
    theirs = await asyncio.to_thread(crewai_run, root, url, {})
    assert ours == sorted(asked)
    assert output == theirs


SEEK = """
from crewai.tools import BaseTool
from pydantic import BaseModel, Field

class SeekInput(BaseModel):
    word: str = Field(..., description="What to look for.")

class SeekTool(BaseTool):
    name: str = "Seek a word"
    description: str = "Looks a word up."
    args_schema: type[BaseModel] = SeekInput

    def _run(self, word: str) -> str:
        return f"{word} is {NAME}'s"

NAME = "{name}"
"""


def with_a_tool(folder: Path, name: str) -> Path:
    root = written(
        folder,
        name,
        project(task("draft"), agents={"writer": {**WRITER, "tools": ["custom:seek"]}}),
    )
    (root / "tools").mkdir()
    (root / "tools" / "seek.py").write_text(SEEK.replace("{name}", name))
    return root


def calls_the_tool() -> list[dict[str, Any]]:
    call = {
        "id": "c1",
        "type": "function",
        "function": {"name": "seek_a_word", "arguments": '{"word": "tea"}'},
    }
    return [{"tool_calls": [call]}, {"content": "Tea."}]


def said(provider: Provider) -> list[Any]:
    """Return the messages and tools of all requests, ids of calls left out; and forget them."""
    told = json.dumps(
        [[r["messages"], r.get("tools")] for r in provider.requests], ensure_ascii=False
    )
    provider.requests.clear()
    return json.loads(re.sub(r'"call_?[\w-]*"|"c1"', '"id"', told))


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose crews are found under `crews`, as those of a deployment."""
    monkeypatch.setattr(crews, "__path__", [*crews.__path__, str(tmp_path)])
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    return tmp_path


async def test_a_tool_of_the_projects_own_is_told_and_called_as_crewai_does(deployed: Path):
    root = with_a_tool(deployed, "one_tool")
    (crew,) = compile_all(deployed)
    assert crew.problems == ()
    (address,) = Registry(deployed).get("one_tool").project_tools()
    tools = {address: load_project_tool(address)}
    with a_provider() as provider:
        provider.replies.extend(calls_the_tool())
        _, output = await run_crew(
            Registry(deployed).get("one_tool"), {}, runner(provider.url, tools)
        )
        ours = said(provider)
        provider.replies.clear()
        provider.replies.extend(calls_the_tool())
        theirs = await asyncio.to_thread(crewai_run, root, provider.url, {})
        assert ours == said(provider)
    assert len(ours) == 2
    assert "tea is one_tool's" in str(ours[1])
    assert output == theirs == "Tea."


def test_two_projects_may_have_tools_of_one_name(deployed: Path):
    names = ("first_of_two", "second_of_two")
    for name in names:
        with_a_tool(deployed, name)
    assert [crew.problems for crew in compile_all(deployed)] == [(), ()]
    tools = [load_project_tool(f"crews.{name}.tools.seek") for name in names]
    assert [tool.run(word="tea") for tool in tools] == [f"tea is {name}'s" for name in names]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def f(:\n", "is no Python"),
        ("x = 1\n", "has no class that inherits from crewai.tools.BaseTool"),
    ],
)
def test_a_tool_that_cannot_be_one_is_told_before_it_runs(deployed: Path, text: str, why: str):
    root = with_a_tool(deployed, "no_tool")
    (root / "tools" / "seek.py").write_text(text)
    (crew,) = compile_all(deployed)
    assert [why in problem.error for problem in crew.problems] == [True]


@pytest.mark.parametrize(
    ("text", "why"),
    [("from crewai.tools import BaseTool\nraise SystemExit('gone')", "SystemExit: gone"),
     ("from pathlib import Path", "has no class"),
     ("import a_package_that_nobody_has", "No module named 'a_package_that_nobody_has'")],
)  # fmt: skip
def test_a_tool_that_cannot_be_loaded_says_why(deployed: Path, text: str, why: str):
    name = f"unloadable_{len(text)}"
    root = with_a_tool(deployed, name)
    (root / "tools" / "seek.py").write_text(text)
    with pytest.raises(AllowListError, match=why):
        load_project_tool(f"crews.{name}.tools.seek")
    with_a_tool(deployed, f"beside_{name}")
    beside = f"crews.beside_{name}.tools.seek"
    assert [*load_project_tools([f"crews.{name}.tools.seek", beside])] == [beside]

"""CrewAI's own projects, run step by step: each prompt is the one of `crewai run`, word for word."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.adapters.crewai.models import model_from
from core.crews.definition import Registry
from infra.crews import compile_all
from infra.dry_run import run_crew
from tests.crewai_corpus import CORPUS, written
from tests.crewai_parts import CataloguePriceBook, CrewAIRunner, MemoryBlobs
from tests.model_server import serving

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


def runner(url: str) -> CrewAIRunner:
    return CrewAIRunner(model_from("m", url, None), {}, {}, CataloguePriceBook(), MemoryBlobs())


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

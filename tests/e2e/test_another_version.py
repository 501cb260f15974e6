"""Flows that another version of this code launched, before or after a deploy, as AMP's clients see them."""

from pathlib import Path
from typing import Any

import pytest

from functions import crew_amp
from tests.e2e.apps import App, opened
from tests.fixtures_ports import in_memory
from tests.webhook_parts import Story


@pytest.fixture
def app(tmp_path: Path):
    with opened(tmp_path) as app:
        yield app


async def status(app: App, query: str = "") -> dict[str, Any]:
    async with app.client(crew_amp) as client:
        answer = await client.get(f"/amp/haiku/status/f1{query}")
    assert answer.status_code == 200
    return answer.json()


async def launched(app: App) -> tuple[Story, dict[str, Any]]:
    """Launch a flow; return its story, and its definition as it is stored."""
    flows = in_memory(app.flows, "acme")
    story = await Story(flows).launched("https://h")
    return story, app.flows.record("acme", "f1").flow.definition


def with_unknown_fields(definition: dict[str, Any]) -> None:
    parts = [definition, *definition["agents"].values(), *definition["tasks"].values()]
    for part in parts:
        part["of_another_version"] = [1]


async def test_fields_that_are_unknown_here_change_no_answer(app: App):
    story, definition = await launched(app)
    runs = await status(app)
    assert runs["progress"] == {"completed_tasks": 0, "total_tasks": 2}
    with_unknown_fields(definition)
    assert await status(app) == runs
    await story.whole()
    for query in ("", "?result=object"):
        found = await status(app, query)
        tasks = found["tasks"] if "tasks" in found else found["result"]["tasks"]
        assert [task["task_id"] for task in tasks] == ["find", "write"]


async def test_a_crew_that_this_version_cannot_run_is_told_of_without_its_tasks(app: App):
    story, definition = await launched(app)
    await story.whole()
    definition["process"] = "of another version"
    found = await status(app)
    assert (found["state"], found["result"], found["tasks"]) == ("SUCCESS", "Oh", [])


async def test_one_that_runs_is_told_of_without_its_progress(app: App):
    _, definition = await launched(app)
    definition["process"] = "of another version"
    found = await status(app)
    assert (found["status"], "progress" in found) == ("running", False)

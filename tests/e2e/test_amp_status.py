"""AMP's status: how far an execution is, and what came of it."""

from pathlib import Path
from typing import Any

from core.flows import Status
from tests.crew_folders import with_crew
from tests.e2e.amp_parts import app, asked, kicked_off, story
from tests.e2e.apps import HAIKU, App

__all__ = ["app"]  # a fixture


async def test_an_execution_that_runs_says_how_far_it_is(app: App):
    told = await story(app).launched("https://h")
    answer = await asked(app, "haiku/status/f1")
    running = {"status": "running", "state": "STARTED", "result": None, "result_json": None}
    assert answer.json() == running | {
        "state": "PENDING",
        "last_step": None,
        "current_task": "find",
        "progress": {"completed_tasks": 0, "total_tasks": 2},
    }
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["retry-after"] == "5"
    await told.finished("find", "drop")
    assert (await asked(app, "haiku/status/f1")).json() == running | {
        "last_step": {
            "thought": "",
            "tool": None,
            "tool_input": None,
            "result": "drop",
            "step": "find",
            "task_id": "find",
            "agent": "Poet",
        },
        "current_task": "write",
        "progress": {"completed_tasks": 1, "total_tasks": 2},
    }


TASKS = [
    {
        "task_id": "find",
        "output": '{"words": ["drop"]}',
        "output_json": {"words": ["drop"]},
        "agent": "Poet",
    },
    {"task_id": "write", "output": "Oh", "agent": "Poet"},
]


async def completed(app: App, query: str = "") -> dict[str, Any]:
    """The status of a whole flow, without how long things took."""
    await (await story(app).launched("https://h")).whole()
    answer = (await asked(app, f"haiku/status/f1{query}")).json()
    assert answer.pop("execution_time") >= 0
    tasks = answer["tasks"] if "tasks" in answer else answer["result"]["tasks"]
    assert all(0 <= task.pop("execution_time") < 60 for task in tasks)
    return answer


async def test_an_execution_that_is_complete_has_a_state_and_a_text_as_amps_clients_read_them(
    app: App,
):
    answer = await completed(app)
    assert answer.pop("last_step")["step"] == "write.2"
    assert answer == {
        "status": "completed",
        "state": "SUCCESS",
        "result": "Oh",
        "result_json": None,
        "tasks": TASKS,
    }


async def test_who_asks_for_it_gets_the_object_of_amps_document(app: App):
    assert await completed(app, "?result=object") == {
        "status": "completed",
        "state": "SUCCESS",
        "result": {"output": "Oh", "tasks": TASKS},
    }
    assert (await asked(app, "haiku/status/f1?result=xml")).status_code == 422


async def test_a_result_that_is_more_than_text_is_there_as_both(app: App):
    told = await story(app).launched("https://h")
    await told.ended({"words": ["drop"]})
    answer = (await asked(app, "haiku/status/f1")).json()
    assert (answer["result"], answer["result_json"]) == ('{"words": ["drop"]}', {"words": ["drop"]})


async def test_an_execution_that_failed_or_was_cancelled_is_an_error(app: App):
    await (await story(app).launched("https://h")).failed("no words came")
    answer = (await asked(app, "haiku/status/f1")).json()
    assert answer == {
        "status": "error",
        "state": "FAILED",
        "result": None,
        "result_json": None,
        "last_step": None,
        "error": "no words came",
        "execution_time": 0.0,
    }


async def test_an_execution_of_another_crew_or_tenant_is_not_there(app: App, tmp_path: Path):
    with_crew(tmp_path, "sonnet", HAIKU.replace("name: haiku", "name: sonnet"))
    flow = (await kicked_off(app)).json()["flow_id"]
    answers = [
        await asked(app, f"sonnet/status/{flow}"),
        await asked(app, f"haiku/status/{flow}", tenant="rival"),
        await asked(app, "haiku/status/fl_nothing"),
        await asked(app, "haiku/status/a.b"),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1
    assert (await app.flows.head("acme", flow)).status is Status.QUEUED

"""Thumbs on what a crew decides change what the agents of its next flow are told."""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from core import bootstrap
from core.adapters.crewai.models import model_from
from core.adapters.memory.learners import memory_learners
from core.crews import strategies
from core.crews.crew_runner import Lesson, StepTask
from core.crews.definition import Registry
from core.crews.ledger import Launch
from core.crews.lessons import Lessons
from core.crews.step_runner import build_work
from core.flows import Status, events
from core.learning.feedback import Feedback
from core.learning.serving import Learners
from crews.deciders import DECIDERS
from crews.import_mapping.evidence import Column, column
from crews.import_mapping.matching import propose
from crews.import_mapping.profile import profile_csv
from functions import feedback
from infra.mapping_score import CREW, default_target
from tests.crewai_parts import a_harness
from tests.e2e.apps import App
from tests.fixtures_ports import a_launch
from tests.scripted_provider import Turn, playing

CREWS = Registry(Path(__file__).parents[2] / "crews")
CSV = (CREW / "examples" / "is_stadfang.dsv").read_bytes()
PROFILE = asdict(profile_csv(io.BytesIO(CSV)))
TARGET = default_target()
FILE = "in_" + "0" * 32
BRIEF = {"question": "Why?", "notes": "So it is."}


@pytest.fixture
def taught(app: App) -> Iterator[App]:
    with bootstrap.replace(lessons=Lessons(bootstrap.learners(), DECIDERS)):
        yield app


def launch(crew: str, flow: str = "f1", **inputs: Any) -> Launch:
    definition = CREWS.get(crew)
    said = {"output": PROFILE, "raw": json.dumps(PROFILE)}
    done = {"import_mapping": {"profile": said}, "research_brief": {"gather": said, "weigh": said}}
    return a_launch(
        flow,
        crew=crew,
        definition=definition.model_dump(mode="json"),
        inputs=definition.with_defaults(inputs),
        steps=strategies.initial_steps(definition),
        results=done[crew],
    )


async def ended(app: App, launched: Launch, output: Any) -> None:
    await app.flows.create("acme", launched)
    finished = events.run_finished(launched.flow, output)
    await app.flows.transition(
        "acme", launched.flow, Status.SUCCEEDED, status_epoch=0, events=finished, output=output
    )


async def give(app: App, expected: int = 202, /, **body: Any) -> dict[str, Any]:
    async with app.client(feedback) as client:
        answer = await client.post("/v1/feedback", json=body)
    assert answer.status_code == expected, answer.text
    return answer.json()


def work_of(launched: Launch, step: str) -> StepTask:
    flow = replace(launched.first_state(), results=launched.results)
    graph = strategies.TaskGraph.of(flow)
    found = next(each for each in flow.steps if each.id == step)
    return build_work("acme", graph, flow, found)


async def told(launched: Launch, step: str) -> tuple[Lesson, ...]:
    return await bootstrap.lessons().before(work_of(launched, step))


async def test_corrections_of_a_mapping_are_told_to_the_next_mapper(taught: App):
    output = {"columns": propose(_columns(), TARGET)}
    await ended(taught, launch("import_mapping", file=FILE), output)
    confirmed = await give(taught, flow="f1", thumb="up", id="all")
    assert confirmed["accepted"] > 20
    corrected = {"BOKST": "unit", "SERHEITI": "(none)"}
    for name, field in corrected.items():
        said = {"flow": "f1", "thumb": "down", "column": name, "correction": field}
        assert (await give(taught, **said))["feedback"][0]["task"].startswith("import_mapping-")
    lessons = await told(launch("import_mapping", "next", file=FILE), "propose")
    mapped = {e["column"]: e for e in propose(_columns(), TARGET, [e.text for e in lessons])}
    assert (mapped["BOKST"]["field"], mapped["SERHEITI"]["field"]) == ("unit", None)
    ids = [lesson.id for lesson in lessons if f"{lesson.id} " in mapped["BOKST"]["reason"]]
    assert len(ids) == 1


def _columns() -> list[Column]:
    return [column(entry, PROFILE["rows"]) for entry in PROFILE["columns"]]


async def test_thumbs_on_briefs_change_how_the_writer_is_told_to_write(taught: App):
    for number in range(6):
        asked = launch("research_brief", f"f{number}", question=f"Why {number}?", notes="n")
        await ended(taught, asked, "Because it is so.")
        given = await give(taught, flow=f"f{number}", thumb="down")
        assert given["feedback"][0]["task"] == "research_brief-form"
    following = launch("research_brief", "next", question="Why not?", notes="n")
    (lesson,) = await told(following, "write")
    assert "bullet points" in lesson.text
    assert await told(following, "weigh") == ()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"column": "none"}, "/column"),
        ({"column": "BOKST", "correction": "moon"}, "/correction"),
        ({"column": "BOKST", "thumb": "up", "correction": "city"}, "/correction"),
    ],
)
async def test_a_thumb_on_what_was_not_decided_is_refused(
    taught: App, change: dict[str, Any], pointer: str
):
    asked = launch("import_mapping", file=FILE)
    await ended(taught, asked, {"columns": propose(_columns(), TARGET)})
    refused = await give(taught, 422, **{"flow": "f1", "thumb": "down"} | change)
    assert [each["pointer"] for each in refused["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("crew", "step", "inputs", "line"),
    [
        ("import_mapping", "propose", {"file": FILE}, 'column "BOKST" -> unit ('),
        (
            "research_brief",
            "write",
            BRIEF,
            "A reader of a brief on this very question liked bullet",
        ),
    ],
)
async def test_a_lesson_stands_in_the_prompt_of_an_openai_compatible_model(
    crew: str, step: str, inputs: dict[str, Any], line: str
):
    work = work_of(launch(crew, **inputs), step)
    lessons = Lessons(await learners_of(work), DECIDERS)
    work = replace(work, lessons=await lessons.before(work))
    answer = json.dumps({"columns": []}) if crew == "import_mapping" else "So."
    with playing(Turn(answer)) as provider:
        harness = a_harness(llm=model_from("openai/gpt-4o-mini", provider.url, "sk-1"))
        await harness.run(work)
    prompt = "".join(each["content"] for each in provider.requests[0]["messages"])
    assert f"- {line}" in prompt


async def learners_of(work: StepTask) -> Learners:
    """One that was told six times how a step should have decided."""
    learners, decider = memory_learners(), DECIDERS[str(work.definition.decides)]
    text, right = work.prompt.context[0].text, {"BOKST": "unit", "": "points"}
    for number in range(6):
        said = [
            Feedback(f"{number}{each.about}", each.context, action, f"user{number}")
            for each in decider.decisions(text, work.inputs, work.prompt.task)
            for action in [right.get(each.about) or str(each.context["proposed"])]
        ]
        await learners.learn("acme", decider.memory(work.inputs), said)
    return learners

"""Thumbs for a flow's result, or for one decision of it: feedback on what agents are told next time."""

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from core import bootstrap
from core.crews.definition import Registry
from core.crews.ledger import StepWrite
from core.flows import Status, events
from crews.import_mapping import column_decisions
from crews.import_mapping.profile import profile_csv
from tests.e2e.apps import App, claim_first
from tests.e2e.feedback_parts import ask, best, give, pointers, said
from tests.fixtures_ports import a_launch
from tests.worker_parts import a_crew

ROOT = Path(__file__).parents[2]
MAPPER = Registry(ROOT / "crews").get("import_mapping")
FILE = b"ZIP_5,LAT,X\n94704,37.1,\n94705,37.2,\n94706,37.3,\n"
TARGET = {"properties": {name: {"type": "string"} for name in ("city", "postcode", "lat")}}
MAPPING = {
    "columns": [
        {"column": "ZIP_5", "field": "city", "confidence": 0.5, "reason": "a guess"},
        {"column": "LAT", "field": "lat", "confidence": 0.9, "reason": "a name"},
        {"column": "X", "field": None, "confidence": 0.9, "reason": "empty"},
    ]
}


async def mapped(app: App) -> str:
    """A flow that has mapped FILE as MAPPING says; return the task in which that is learnt."""
    inputs = {"file": "in_1", "target": TARGET}
    definition = MAPPER.model_dump(mode="json")
    await app.flows.create(
        "acme", a_launch(crew="import_mapping", definition=definition, inputs=inputs)
    )
    profile = json.dumps(asdict(profile_csv(io.BytesIO(FILE))))
    claim = await claim_first(app.flows)
    await app.flows.commit(claim, 1, {"raw": profile}, StepWrite(events.step_finished("one")))
    await end(app, MAPPING)
    return column_decisions.memory(inputs)


async def end(app: App, output: Any, flow: str = "f1") -> None:
    finished = events.run_finished(flow, 1)
    await app.flows.transition(
        "acme", flow, Status.SUCCEEDED, status_epoch=0, events=finished, output=output
    )


def deciding(column: str) -> dict[str, Any]:
    """What is known of a column when it is decided."""
    profile = json.dumps(asdict(profile_csv(io.BytesIO(FILE))))
    made = column_decisions.decisions(profile, {"target": TARGET}, "")
    return dict(next(one.context for one in made if one.about == column))


async def test_a_thumb_for_a_column_teaches_what_agents_are_told_of_such_a_column(app: App):
    task = await mapped(app)
    column = {"flow": "f1", "thumb": "down", "column": "ZIP_5", "correction": "postcode"}
    answer = (await give(app, column)).json()
    assert (answer["accepted"], answer["feedback"][0]["task"]) == (1, task)
    assert await best(app, deciding("ZIP_5"), task) == "postcode"


async def test_a_thumb_up_for_a_whole_mapping_confirms_each_of_its_columns(app: App):
    task = await mapped(app)
    body = {"flow": "f1", "thumb": "up", "id": "t1"}
    assert (await give(app, body)).json()["accepted"] == 3
    assert (await give(app, body)).json()["accepted"] == 0
    assert await best(app, deciding("X"), task) == "(none)"


async def test_a_thumb_down_without_a_correction_takes_back_what_was_confirmed(app: App):
    task = await mapped(app)
    await give(app, {"flow": "f1", "thumb": "up", "column": "LAT"})
    assert (await ask(app, deciding("LAT"), task))["actions"][0]["patterns"]
    await give(app, {"flow": "f1", "thumb": "down", "column": "LAT"})
    assert (await ask(app, deciding("LAT"), task))["actions"][0]["patterns"] == []


async def test_a_thumb_down_for_a_whole_mapping_says_that_such_results_are_not_liked(app: App):
    await mapped(app)
    answer = (await give(app, {"flow": "f1", "thumb": "down"})).json()
    assert [one["task"] for one in answer["feedback"]] == ["import_mapping-results"]


async def test_a_thumb_for_any_other_result_says_whether_such_results_are_liked(app: App):
    definition = a_crew().model_dump(mode="json")
    await app.flows.create("acme", a_launch(crew="research_brief", definition=definition))
    await end(app, "a text")
    await give(app, {"flow": "f1", "thumb": "down"})
    assert await best(app, {"inputs": {"file": "in_1"}}, "research_brief-results") == "down"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"column": "NONE"}, "/column"),
        ({"correction": "postcode"}, "/correction"),
        ({"column": "LAT", "correction": "no field"}, "/correction"),
        ({"column": "LAT", "thumb": "up", "correction": "city"}, "/correction"),
        ({"thumb": "sideways"}, "/thumb"),
        ({"task": "route"}, "/task"),
    ],
)
async def test_a_thumb_that_means_nothing_is_refused(
    app: App, change: dict[str, Any], pointer: str
):
    await mapped(app)
    answer = await give(app, {"flow": "f1", "thumb": "down"} | change)
    assert pointer in await pointers(answer)


async def test_a_thumb_for_no_flow_or_one_without_a_result_is_404(app: App):
    await app.flows.create("acme", a_launch("f2"))
    await app.flows.create("other", a_launch("f3"))
    for flow in ("none", "f2", "f3"):
        assert (await give(app, {"flow": flow, "thumb": "up"})).status_code == 404


async def test_a_host_that_lacks_a_deciders_packages_says_so_and_takes_all_other_feedback(app: App):
    class Lacking:
        async def made(self, *_: Any) -> Any:
            raise ModuleNotFoundError("scipy")

    await mapped(app)
    with bootstrap.replace(lessons=Lacking()):
        answer = await give(app, {"flow": "f1", "thumb": "up", "column": "LAT"})
        assert (answer.status_code, "deciders" in answer.json()["detail"]) == (503, True)
        assert (await give(app, said("billing"))).status_code == 202

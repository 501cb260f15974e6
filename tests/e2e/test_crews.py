"""Crews over HTTP: what is listed and launched where a crew's file, or an upload, is wrong."""

from pathlib import Path
from typing import Any

from core.errors import UnavailableError
from functions import crew_launch
from tests.crew_folders import with_crew
from tests.e2e.apps import HAIKU, App

UPLOAD = "in_" + "0" * 32


def reader() -> str:
    upload = "file: {type: string, format: crewline-input}"
    text = HAIKU.replace("topic: {type: string, maxLength: 40}", upload)
    return text.replace("topic", "file").replace("name: haiku", "name: reader")


async def launch(app: App, crew: str, **inputs: Any) -> tuple[int, dict[str, Any]]:
    async with app.client(crew_launch) as client:
        answer = await client.post("/v1/flows", json={"crew": crew, "inputs": inputs})
    return answer.status_code, answer.json()


async def test_a_broken_crew_is_listed_apart_and_launching_it_names_file_and_line(
    app: App, tmp_path: Path
):
    with_crew(tmp_path, "broken", HAIKU.replace("name: haiku", "name: broken\nverbos: true"))
    async with app.client(crew_launch) as client:
        body = (await client.get("/v1/crews")).json()
    assert [crew["name"] for crew in body["crews"]] == ["haiku"]
    (broken,) = body["broken"]
    assert (broken["name"], broken["line"]) == ("broken", 3)
    assert broken["file"].endswith("/broken/crew.yaml")
    status, problem = await launch(app, "broken")
    assert status == 422
    assert f"{broken['file']}, line 3: {broken['error']}" in problem["detail"]
    assert (await launch(app, "haiku", topic="rain"))[0] == 202


async def test_where_no_crew_is_broken_none_is_listed_so(app: App):
    async with app.client(crew_launch) as client:
        assert (await client.get("/v1/crews")).json().keys() == {"crews"}


async def test_an_upload_must_be_there_and_the_tenants_own(app: App, tmp_path: Path):
    with_crew(tmp_path, "reader", reader())
    status, problem = await launch(app, "reader", file=UPLOAD)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/inputs/file")
    app.blobs.put("other", UPLOAD, b"x", "text/csv")
    assert (await launch(app, "reader", file=UPLOAD))[0] == 422
    app.blobs.put("acme", UPLOAD, b"x", "text/csv")
    assert (await launch(app, "reader", file=UPLOAD))[0] == 202
    status, problem = await launch(app, "reader", file=UPLOAD + "\n")
    assert (status, problem["errors"][0]["pointer"]) == (422, "/inputs/file")


async def test_an_object_store_that_is_away_is_no_reason_to_refuse_a_launch(
    app: App, tmp_path: Path, monkeypatch: Any
):
    def away(*_: Any) -> int:
        raise UnavailableError("the object store does not answer")

    with_crew(tmp_path, "reader", reader())
    monkeypatch.setattr(app.blobs, "size", away)
    assert (await launch(app, "reader", file=UPLOAD))[0] == 202

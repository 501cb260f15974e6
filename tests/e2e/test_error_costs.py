"""However large a body is and however much of it is wrong, its error is small and made at once."""

import asyncio
import contextlib
import itertools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin

import httpx
import pytest
from pydantic import BaseModel, FailFast

from core.errors import POINTERS, InvalidInputError
from functions import crew_agui, crew_amp, crew_launch, flow_events
from functions._agui import run_input
from functions._amp import answers, requests
from functions._http import bodies, models, problems
from tests.crew_folders import with_crew
from tests.e2e.apps import App, begin
from tests.fixtures_api import Api

LAUNCH = 256 * 1024
RUN = 1024**2
LISTS = """
name: lists
description: Counts.
process: sequential
inputs:
  type: object
  additionalProperties: false
  properties:
    numbers: {type: array, items: {type: string}}
agents:
  one: {role: One, goal: Count, backstory: Counted}
tasks:
  count: {description: Count, expected_output: A number, agent: one}
"""


def keys(size: int, **rest: Any) -> bytes:
    """Return an object of almost this size with as many unknown members as possible."""
    most = bodies.VALUES // 2 - 10  # each has a name
    return filled(size, json.dumps(rest)[1:-1], lambda n: f'"{n:x}":0', "{", "}", most)


def zeros(size: int, before: str, after: str) -> bytes:
    return filled(size, "0", lambda _: "0", before, after)


def filled(
    size: int,
    first: str,
    part: Callable[[int], str],
    before: str,
    after: str,
    most: int = bodies.VALUES - 20,
) -> bytes:
    """Return a body of almost this size, or of almost as many values as a body may have."""
    parts, length = [first] if first else [], len(before) + len(first) + len(after)
    for n in range(most):
        length += len(part(n)) + 1
        if length > size:
            break
        parts.append(part(n))
    return (before + ",".join(parts) + after).encode()


DEEP_LISTS = b'{"threadId":"t","runId":"r","state":[' + b"[[[[]]]]," * 114_000 + b"0]}"
WORST = {
    "a launch of unknown members": (crew_launch, "/v1/flows", keys(LAUNCH, crew="haiku")),
    "a launch of unknown inputs": (
        crew_launch,
        "/v1/flows",
        b'{"crew":"haiku","inputs":' + keys(LAUNCH - 50) + b"}",
    ),
    "inputs of wrong items": (
        crew_launch,
        "/v1/flows",
        zeros(LAUNCH, '{"crew":"lists","inputs":{"numbers":[', "]}}"),
    ),
    "an answer": (crew_launch, "/v1/flows/f1/resume", keys(LAUNCH)),
    "a ticket": (flow_events, "/v1/events/ticket", zeros(4096, '{"flows":[', "]}")),
    "a kickoff": (crew_amp, "/amp/haiku/kickoff", keys(LAUNCH, inputs={})),
    "a kickoff's inputs": (
        crew_amp,
        "/amp/lists/kickoff",
        zeros(LAUNCH, '{"inputs":{"numbers":[', "]}}"),
    ),
    "a kickoff's webhook": (
        crew_amp,
        "/amp/haiku/kickoff",
        b'{"inputs":{},"humanInputWebhook":' + keys(LAUNCH - 60) + b"}",
    ),
    "an answer to AMP": (crew_amp, "/amp/haiku/resume", keys(LAUNCH)),
    "a run's messages": (
        crew_agui,
        "/v1/agui/haiku",
        zeros(RUN, '{"threadId":"t","runId":"r","messages":[', "]}"),
    ),
    "a run's members": (crew_agui, "/v1/agui/haiku", keys(RUN)),
    "a run's resume": (
        crew_agui,
        "/v1/agui/haiku",
        zeros(RUN, '{"threadId":"t","runId":"r","resume":[', "]}"),
    ),
    "a run's state": (
        crew_agui,
        "/v1/agui/haiku",
        filled(RUN, "", lambda _: "[]", '{"threadId":"t","runId":"r","state":[', "]}"),
    ),
    "brackets": (crew_agui, "/v1/agui/haiku", DEEP_LISTS),
    "what is not JSON": (crew_agui, "/v1/agui/haiku", zeros(RUN, "[", "")),
    "too deep": (crew_agui, "/v1/agui/haiku", b"[" * 65 + b"0," * 500_000 + b"0" + b"]" * 65),
    "far numbers": (crew_agui, "/v1/agui/haiku", zeros(RUN, "[", ",1e999]")),
}


@pytest.fixture
def crews(app: App, tmp_path: Path) -> App:
    with_crew(tmp_path, "lists", LISTS)
    return app


async def sent(app: App, function: ModuleType, path: str, body: bytes) -> tuple[Any, float]:
    """Return the answer, and the CPU seconds of this process that it took."""
    async with app.client(function) as client:
        begun = time.process_time()
        answer = await client.post(path, content=body, headers={"content-type": "application/json"})
        return answer, time.process_time() - begun


@pytest.mark.parametrize("name", WORST)
async def test_the_worst_body_of_a_route_costs_hardly_more_than_reading_it(crews: App, name: str):
    function, path, body = WORST[name]
    await begin(crews.flows)
    tries = [await sent(crews, function, path, body) for _ in range(4)]
    seconds = min(seconds for _, seconds in tries)
    assert seconds < 2 * read_seconds(body) + 0.02
    for answer, _ in tries:
        assert answer.status_code in {400, 422}
        assert len(answer.content) < 2000


def read_seconds(body: bytes) -> float:
    """Return the CPU seconds that it takes to read a body, whatever is then made of it."""
    begun = time.process_time()
    for _ in range(3):
        with contextlib.suppress(ValueError):
            bodies._parsed(body)
    return (time.process_time() - begun) / 3


async def test_the_first_of_what_is_wrong_is_named(crews: App):
    function, path, body = WORST["a launch of unknown members"]
    answer, _ = await sent(crews, function, path, body)
    named = [error["pointer"] for error in answer.json()["errors"]]
    assert named == [f"/{n:x}" for n in range(len(named))]
    assert 20 <= len(named) <= POINTERS


@pytest.mark.parametrize(
    "text", ["\U0001f600" * 400, '"' * 400, "\\" * 400, "\0" * 400, "\x7f" * 400]
)
def test_a_problem_in_amps_words_is_short_too_whatever_it_says(text: str):
    pointers = {f"/{text}{n}": text for n in range(100)}
    body = bytes(problems.response(InvalidInputError(text, pointers)).body)
    said = answers._with_members(body)
    assert len(said) < 2000
    assert json.loads(said)["message"] == json.loads(said)["detail"]


def test_pointers_are_made_no_further_than_they_are_kept():
    made = ((f"/{n}", "wrong") for n in itertools.count())
    assert len(InvalidInputError("all is wrong", made).pointers) == POINTERS


def models_of(function: ModuleType) -> list[type[BaseModel]]:
    kinds = [value for value in vars(function).values() if isinstance(value, type)]
    return [k for k in kinds if issubclass(k, BaseModel) and k.__module__ == function.__name__]


def may_grow(kind: Any, limits: tuple[Any, ...]) -> bool:
    """Tell whether a value of this kind can be wrong in as many places as its sender likes."""
    if hasattr(kind, "__metadata__"):
        return may_grow(kind.__origin__, (*limits, *kind.__metadata__))
    if get_origin(kind) in {list, dict}:
        limited = any(isinstance(part, FailFast) or hasattr(part, "max_length") for part in limits)
        return not limited and get_args(kind)[-1] is not Any
    return any(may_grow(part, limits) for part in get_args(kind))


@pytest.mark.parametrize("module", [run_input, requests, crew_launch])
def test_no_model_of_a_body_makes_more_complaints_than_it_has_fields(module: ModuleType):
    assert models_of(module)
    for model in models_of(module):
        for name, field in model.model_fields.items():
            assert not may_grow(field.annotation, tuple(field.metadata)), (model, name)


def test_a_list_without_a_limit_would_be_found():
    assert may_grow(list[str], ())
    assert may_grow(list[str] | None, ())
    assert not may_grow(models.List[str], ())
    assert not may_grow(list[Any], ())


async def test_another_tenant_is_answered_meanwhile(api: Api):
    """The worst bodies, as many at once as a client likes; the other tenant polls all the time."""
    routes = ("a launch of unknown members", "a run's messages", "a run's members", "far numbers")
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as http:
        idle = [await poll(http, api) for _ in range(50)]
        async with asyncio.timeout(60):
            sending = [asyncio.create_task(attack(api, *WORST[name][1:])) for name in routes]
            await asyncio.sleep(0.2)
            busy = [await poll(http, api) for _ in range(50)]
            assert not any(task.done() for task in sending)  # they were never let down
            for task in sending:
                task.cancel()
    print(f"idle {max(idle) * 1000:.0f} ms, busy {max(busy) * 1000:.0f} ms")
    assert max(busy) < max(10 * max(idle), 0.5)


async def test_another_tenant_launches_meanwhile(api: Api):
    """All that is read or looked at beside the event loop, sixteen at once."""
    routes = ("a run's state", "a run's members", "brackets", "inputs of wrong items")
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as http:
        idle = [await launch(http, api) for _ in range(10)]
        sending = [
            asyncio.create_task(attack(api, *WORST[name][1:])) for name in routes for _ in range(4)
        ]
        await asyncio.sleep(1)
        busy = [await launch(http, api) for _ in range(10)]
        assert not any(task.done() for task in sending)
        for task in sending:
            task.cancel()
    print(f"idle {max(idle) * 1000:.0f} ms, busy {[round(each * 1000) for each in busy]} ms")
    assert statistics.median(busy) < max(10 * max(idle), 2)  # it was 13 s, first come first served


async def launch(http: httpx.AsyncClient, api: Api) -> float:
    asked = {
        "crew": "research_brief",
        "inputs": {"question": "Will it rain?", "notes": "It rains."},
    }
    begun = time.monotonic()
    answer = await http.post("/v1/flows", headers=api.auth("quiet"), json=asked)
    assert answer.status_code == 202
    return time.monotonic() - begun


async def poll(http: httpx.AsyncClient, api: Api) -> float:
    begun = time.monotonic()
    answer = await http.get("/v1/flows", headers=api.auth("quiet"))
    assert answer.status_code == 200
    return time.monotonic() - begun


async def attack(api: Api, path: str, body: bytes) -> None:
    headers = api.auth("loud") | {"content-type": "application/json"}
    async with httpx.AsyncClient(base_url=api.url, timeout=30) as http:
        while True:
            answer = await http.post(
                path.replace("haiku", "research_brief"), content=body, headers=headers
            )
            assert answer.status_code in {400, 422}

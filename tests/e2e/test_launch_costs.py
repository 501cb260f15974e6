"""Whatever a launch holds, looking at it takes hardly longer than reading it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions import crew_launch
from functions._http import bodies
from tests.crew_folders import with_crew
from tests.e2e.apps import App

FOLDER = Path(__file__).parents[2] / "crews"
LIMIT = crew_launch.REQUEST_BYTES
FILE = "in_" + "0" * 32
SHAPES = """
name: shapes
description: Takes a value of every shape.
process: sequential
inputs:
  type: object
  $defs:
    node:
      anyOf:
        - {type: object, properties: {next: {$ref: "#/$defs/node"}, kind: {const: a}}, required: [kind]}
        - {type: object, properties: {next: {$ref: "#/$defs/node"}, kind: {const: b}}, required: [kind]}
        - {type: "null"}
    word: {enum: [WORDS]}
    either:
      anyOf: [{type: array, items: {$ref: "#/$defs/either"}}, {type: integer, multipleOf: 7}]
  properties:
    words: {type: array, items: {$ref: "#/$defs/word"}}
    different: {type: array, uniqueItems: true}
    tree: {$ref: "#/$defs/node"}
    ways:
      type: array
      items:
        anyOf: [{type: array, items: {type: string}}, {type: object}, {type: number, minimum: 9}]
        not: {type: array, items: {type: boolean}, minItems: 1}
    one:
      oneOf: [{type: array, items: {type: string}}, {type: array, items: {type: integer}}]
    named:
      type: object
      patternProperties: {"^a": {type: integer}, "(a|b)+c$": {type: string}, "[0-9]$": true}
      additionalProperties: {type: string, pattern: "^(x+x+)+y$"}
      propertyNames: {maxLength: 100}
    held: {type: array, contains: {const: 1}}
    either: {$ref: "#/$defs/either"}
agents:
  one: {role: One, goal: Look, backstory: Looked}
tasks:
  look: {description: Look, expected_output: A word, agent: one}
""".replace("WORDS", ", ".join(f"w{n}" for n in range(2_000)))


def filled(part: Callable[[int], str], before: str, after: str) -> str:
    """Return as many parts as a launch may have, of at most as many values."""
    parts, room = list[str](), LIMIT - 200 - len(before) - len(after)
    values = bodies.VALUES - 200
    while (room := room - len(part(len(parts))) - 1) > 0 and values > 0:
        parts.append(part(len(parts)))
        values -= 1 + parts[-1].replace("[]", "").count("[")
    return before + ",".join(parts) + after


def of_list(name: str, part: Callable[[int], str], last: str = "") -> str:
    return filled(part, f'{{"{name}":[', f"{',' if last else ''}{last}]}}")


def target(fields: int, field: Callable[[int], Any]) -> str:
    properties = {f"f{number}": field(number) for number in range(fields)}
    return json.dumps({"file": FILE, "target": {"properties": properties}})


def chain(last: str) -> str:
    return '{"tree":' + '{"next":' * 60 + last + ',"kind":"b"}' * 60 + "}"


WORST = {
    "60 fields of 200 names": (
        "import_mapping",
        target(60, lambda n: {"x-names": [f"n{n} {k} aaaaaa" for k in range(200)]}),
    ),
    "examples": ("import_mapping", target(50, lambda _: {"examples": list(range(1_000))})),
    "patterns": (
        "import_mapping",
        target(60, lambda n: {"pattern": f"{n}" + r"\pL" * 4}),
    ),
    "patterns that are too large": (
        "import_mapping",
        target(60, lambda n: {"pattern": f"{n}" + r"(\pL|[^\x{20}-\x{9999}]){9}" * 30}),
    ),
    "words of a long enum": ("shapes", of_list("words", lambda n: f'"w{1999 - n % 9}"')),
    "words and one that is none": ("shapes", of_list("words", lambda n: f'"w{n % 9}"', "0")),
    "different numbers": ("shapes", of_list("different", str)),
    "different floats": ("shapes", of_list("different", lambda n: f"{n}.0")),
    "different lists": ("shapes", of_list("different", lambda n: f"[{n}.5]")),
    "a long chain": ("shapes", chain("null")),
    "a long chain with a wrong end": ("shapes", chain("0")),
    "lists, by anyOf": ("shapes", of_list("ways", lambda _: "[]")),
    "wrong numbers, by anyOf": ("shapes", of_list("ways", lambda _: "8")),
    "a long list of wrong items, by anyOf": (
        "shapes",
        of_list("ways", lambda n: "0" if n else "[0", '"x"]').replace("[[0", "[[0", 1),
    ),
    "numbers, by oneOf": ("shapes", of_list("one", lambda _: "1")),
    "numbers and a word, by oneOf": ("shapes", of_list("one", lambda _: "1", '"x"')),
    "members": ("shapes", filled(lambda n: f'"b{n}":"xy"', '{"named":{', "}}")),
    "wrong members": ("shapes", filled(lambda n: f'"b{n}x":"x"', '{"named":{', "}}")),
    "one that is held, at the end": ("shapes", of_list("held", lambda _: "0", "1")),
    "none that is held": ("shapes", of_list("held", lambda _: "0")),
    "a deep list": ("shapes", '{"either":' + "[" * 60 + "7" + "]" * 60 + "}"),
    "many deep lists": (
        "shapes",
        of_list("either", lambda _: "[" * 20 + "7" + "]" * 20),
    ),
    "many deep lists with a wrong end": (
        "shapes",
        of_list("either", lambda _: "[" * 20 + "7" + "]" * 20, "8"),
    ),
    "members that nobody knows": ("shapes", filled(lambda n: f'"u{n}":[[[]]]', "{", "}")),
    "a text": ("research_brief", json.dumps({"question": "x", "notes": "{question} " * 20_000})),
}


@pytest.fixture
def crews(app: App, tmp_path: Path) -> App:
    with_crew(tmp_path, "shapes", SHAPES)
    for name in ("import_mapping", "research_brief"):
        (tmp_path / name).symlink_to(FOLDER / name)
    app.blobs.put("acme", FILE, b"a,b\n1,2\n", "text/csv")
    return app


@pytest.mark.parametrize("name", WORST)
async def test_a_launch_takes_hardly_longer_than_reading_it_whatever_it_holds(
    crews: App, name: str
):
    crew, inputs = WORST[name]
    body = f'{{"crew":"{crew}","inputs":{inputs}}}'.encode()
    assert len(body) <= LIMIT
    tries, kind = list[float](), {"content-type": "application/json"}
    async with crews.client(crew_launch) as client:
        for _ in range(3):
            begun = time.process_time()
            answer = await client.post("/v1/flows", content=body, headers=kind)
            tries.append(time.process_time() - begun)
            assert answer.status_code in {202, 422}, answer.text
    print(f"{name}: {answer.status_code}, {len(body)} bytes, {min(tries) * 1000:.0f} ms")
    assert min(tries) < 5 * read_seconds(body) + 0.2


def read_seconds(body: bytes) -> float:
    """Return the CPU seconds that it takes to read a body, whatever is then made of it."""
    begun = time.process_time()
    for _ in range(3):
        bodies._parsed(body)
    return (time.process_time() - begun) / 3

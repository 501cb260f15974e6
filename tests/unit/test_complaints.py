"""What is wrong with a body, in our own words, and how little is taken for a decision."""

import importlib
import json
import pkgutil
from typing import Any

import pytest
from pydantic import BaseModel

import functions
from core import complaints
from core.errors import InvalidInputError
from functions._agui.run_input import RunInput
from functions._amp.requests import Kickoff, Resume
from functions._costs.usage import UsageBody
from functions._http import models
from functions.crew_launch import Answer, FlowRequest

RESUME = {"execution_id": "f1", "task_id": "t", "human_feedback": "", "is_approve": True}


def complained(model: type[BaseModel], body: Any) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        models.parse(body, model, "it is wrong")
    return caught.value.pointers


def models_of_bodies() -> set[type[BaseModel]]:
    for module in pkgutil.walk_packages(functions.__path__, "functions."):
        importlib.import_module(module.name)
    found, left = set[type[BaseModel]](), [BaseModel]
    while left:
        kinds = left.pop().__subclasses__()
        left += kinds
        found |= {kind for kind in kinds if kind.__module__.startswith("functions.")}
    return found


def test_every_body_is_read_strictly():
    found = models_of_bodies()
    assert {Answer, Resume, Kickoff, FlowRequest, RunInput} <= found
    assert [kind for kind in found if not kind.model_config.get("strict")] == []


@pytest.mark.parametrize("value", ["yes", "true", 1, 0, 1.0, "1", None, [], {}])
@pytest.mark.parametrize(
    ("model", "body", "name"), [(Answer, {}, "approve"), (Resume, RESUME, "is_approve")]
)
def test_nothing_but_true_and_false_is_a_decision(
    model: type[BaseModel], body: dict[str, Any], name: str, value: Any
):
    assert complained(model, body | {name: value}) == {f"/{name}": "must be true or false"}


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        (Answer, {}, {"/approve": "is missing"}),
        (Answer, [], {"": "must be an object"}),
        (
            Answer,
            {"approve": True, "other": 1},
            {"/other": "is unknown; there are: approve, feedback, review"},
        ),
        (
            FlowRequest,
            {"crew": "a", "input": {}},
            {"/input": "is unknown; did you mean inputs? There are: crew, inputs"},
        ),
        (
            UsageBody,
            {"calls": [{"id": "i", "model": "m", "task": "x"}]},
            {
                "/calls/0/task": "is unknown; did you mean task_type? There are: id, model, at, usage, prompt_bytes, "
                "max_output_tokens, variant, required_quality, crew, task_type, agent, subject"
            },
        ),
        (
            Kickoff,
            {"input": 1, "inputs": {}},
            {
                "/input": "is unknown; did you mean inputs? There are: taskWebhookUrl, "
                "stepWebhookUrl, crewWebhookUrl, inputs, meta, humanInputWebhook"
            },
        ),
        (
            Kickoff,
            {
                "inputs": {},
                "humanInputWebhook": {
                    "url": "u",
                    "authentication": {"strategy": "bearer", "token": "t", "user": "u"},
                },
            },
            {
                "/humanInputWebhook/authentication/bearer/user": "is unknown; "
                "there are: strategy, token"
            },
        ),
        (Answer, {"approve": True, "feedback": 7}, {"/feedback": "must be a text"}),
        (
            Answer,
            {"approve": True, "review": "x" * 257},
            {"/review": "must have 256 characters at most"},
        ),
        (FlowRequest, {"crew": "A"}, {"/crew": "must match ^[a-z][a-z0-9_]{0,63}$"}),
        (FlowRequest, {"crew": "a", "inputs": []}, {"/inputs": "must be an object"}),
        (RunInput, {"threadId": "", "runId": "r"}, {"/threadId": "must not be empty"}),
        (
            RunInput,
            {"threadId": "t", "runId": "r", "messages": {}},
            {"/messages": "must be a list"},
        ),
        (
            RunInput,
            {
                "threadId": "t",
                "runId": "r",
                "resume": [{"interruptId": "i", "status": "no"}],
            },
            {"/resume/0/status": "must be 'resolved' or 'cancelled'"},
        ),
        (
            Kickoff,
            {"inputs": {}, "restoreFromStateId": "s"},
            {
                "/restoreFromStateId": "not here: a kickoff begins anew; POST resume goes on "
                "with one that waits"
            },
        ),
        (
            Kickoff,
            {"inputs": {}, "humanInputWebhook": {"url": "u", "authentication": {"strategy": "x"}}},
            {"/humanInputWebhook/authentication": "'strategy' must be one of 'bearer', 'basic'"},
        ),
        (
            Kickoff,
            {"inputs": {}, "humanInputWebhook": {"url": "u", "authentication": {}}},
            {"/humanInputWebhook/authentication": "must have 'strategy'"},
        ),
    ],
)
def test_what_is_wrong_is_said_in_our_own_words(
    model: type[BaseModel], body: Any, expected: dict[str, str]
):
    assert complained(model, body) == expected


def test_every_word_is_of_an_error_that_exists_and_none_repeats_the_input():
    canary = "s3cret" * 20
    for body in (
        {canary: 1},
        {"crew": canary},
        {"crew": [canary]},
        {"crew": "a", "inputs": canary},
    ):
        said = json.dumps(list(complained(FlowRequest, body).values()))
        assert canary not in said
    assert all("Input" not in words for words in complaints.WORDS.values())

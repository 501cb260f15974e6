"""Answers of models that think aloud, or that answer in parts: what is said to the user of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.crewai.answer_text import ThoughtFilter, without_thoughts
from core.adapters.crewai.models import model_from
from core.crews.crew_runner import StepFailedError, StepKind
from tests.crewai_parts import INPUT, a_crew, a_harness, a_step, native_call
from tests.scripted_provider import ScriptedProvider, Turn, playing

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "number"}}}
THOUGHT = "<think>Is it 41?\nNo.</think>\n\n"


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def asking(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes models that ask a provider, whole or streamed."""

    def models(provider: ScriptedProvider) -> Any:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        llm = model_from("openai/gpt-4o-mini", None, "sk-0123456789")

        def fresh() -> Any:
            made: Any = llm()
            made.stream = request.param
            return made

        return fresh

    return models


Asking = Callable[[ScriptedProvider], Any]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (f"{THOUGHT}42", "42"),
        (f" \n{THOUGHT}42\n", "42\n"),
        ("<think>a</think>ans<think>b</think>", "ans"),
        ("<think>a</think><think>b</think>an<think>c</think>s", "ans"),
        ("<think></think>It is < 42.", "It is < 42."),
        ("<think>a</think>R1 begins with <think>, always.", "R1 begins with <think>, always."),
        ("R1 says <think>hm</think> first.", "R1 says <think>hm</think> first."),
        (" \n<thin", " \n<thin"),
    ],
)
async def test_an_answer_is_what_a_model_says_after_its_thoughts(
    said: str, answer: str, asking: Asking
):
    with playing(Turn(said)) as provider:
        harness = a_harness(llm=asking(provider))
        assert await harness.run(a_step(a_crew())) == {"output": answer, "raw": answer}
    assert (len(provider.requests), "".join(harness.texts())) == (1, answer)


@pytest.mark.parametrize("said", ["<think>it never ends", "<think>a</think> \n", " <think>a</"])
async def test_thoughts_alone_are_an_empty_answer_and_no_message(said: str, asking: Asking):
    with playing(Turn(said)) as provider:
        harness = a_harness(llm=asking(provider))
        with pytest.raises(StepFailedError, match="the model gave an empty answer"):
            await harness.run(a_step(a_crew()))
    assert (len(provider.requests), harness.texts()) == (3, [])


async def test_json_after_thoughts_fits_its_schema(asking: Asking):
    with playing(Turn(f'{THOUGHT}{{"n": 42}}')) as provider:
        harness = a_harness(llm=asking(provider))
        result = await harness.run(a_step(a_crew(one={"output_schema": SCHEMA})))
    assert result == {"output": {"n": 42}, "raw": '{"n": 42}'}


async def test_a_manager_that_thinks_plans(asking: Asking):
    step = a_step(a_crew())
    step = replace(step, prompt=replace(step.prompt, kind=StepKind.PLAN, output_schema=SCHEMA))
    with playing(Turn(f'{THOUGHT}```json\n{{"n": 42}}\n```')) as provider:
        assert (await a_harness(llm=asking(provider)).run(step))["output"] == {"n": 42}


async def test_a_verdict_after_thoughts_is_read_and_thoughts_are_not_judged(asking: Asking):
    verdict = Turn(f"{THOUGHT}{json.dumps({'valid': True})}")
    with playing(Turn(f"{THOUGHT}red"), verdict) as provider:
        step = a_step(a_crew(one={"guardrails": ["Name a colour, nothing else."]}))
        assert (await a_harness(llm=asking(provider)).run(step))["raw"] == "red"
    assert "Is it 41?" not in json.dumps(provider.requests[1])


async def test_a_tool_that_is_called_after_thoughts_is_called(asking: Asking):
    calls = Turn(THOUGHT, tools=[native_call("size", file=INPUT)], finish="tool_calls")
    with playing(calls, Turn(f"{THOUGHT}three")) as provider:
        harness = a_harness(llm=asking(provider))
        harness.blobs.put("acme", INPUT, b"abc", "text/csv")
        assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert (harness.results(), "".join(harness.texts())) == (["3 bytes"], "three")


async def test_a_tool_that_is_called_in_words_after_thoughts_is_called():
    call = f'{THOUGHT}Action: size\nAction Input: {{"file": "{INPUT}"}}'
    harness = a_harness(call, f"{THOUGHT}Thought: I know.\nFinal Answer: three")
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"
    assert harness.results() == ["3 bytes"]
    assert "41" not in "".join(harness.texts())


@given(st.text("<think>/ a"), st.lists(st.integers(0, 60)))
def test_however_an_answer_is_cut_into_pieces_the_same_is_said(text: str, cuts: list[int]):
    for said in (text, f"<think>{text}", f"<think>x</think>{text}</think>{text}"):
        ends = [0, *sorted(cuts), len(said)]
        thoughts = ThoughtFilter()
        pieces = [thoughts.feed(said[a:b]) for a, b in pairwise(ends)]
        assert "".join([*pieces, thoughts.end()]) == without_thoughts(said)


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
    {"type": "text", "text": "hi, "},
    {"type": "text", "text": "you"},
]


async def test_an_answer_in_parts_is_the_text_of_its_parts():
    with playing(Turn(parts=PARTS)) as provider:
        harness = a_harness(llm=model_from("tiny", provider.url, None))
        assert (await harness.run(a_step(a_crew())))["raw"] == "hi, you"
    assert harness.texts() == ["hi, you"]


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "image_url", "image_url": {"url": "data:"}}],
        [{"type": "text", "text": "a"}, {"type": "audio"}],
        [{"type": "text", "text": ["a"]}],
        ["a", "b"],
        [7],
        {"text": "a"},
        42,
    ],
)
async def test_an_answer_that_is_no_text_is_not_the_protocol(parts: Any):
    with playing(Turn(parts=parts)) as provider:
        harness = a_harness(llm=model_from("tiny", provider.url, None))
        with pytest.raises(StepFailedError, match="did not answer as its protocol says"):
            await harness.run(a_step(a_crew()))
    assert harness.texts() == []

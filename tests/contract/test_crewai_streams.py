"""Streams as other providers send them: with the usage in pieces that hold text or the reason of the end."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.crewai.models import model_from
from core.adapters.crewai.stream_pieces import PieceSplitter
from core.costs.usage import Usage
from core.crews.crew_runner import StepFailedError
from tests.crewai_parts import RunnerHarness, a_crew, a_harness, a_step
from tests.scripted_provider import ScriptedProvider, Turn, playing

TEXT = "The ferry has tickets, and it sails."


def streaming(provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch) -> RunnerHarness:
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    return a_harness(llm=model_from("openai/gpt-4o-mini", None, "sk-0123456789"))


@pytest.mark.parametrize("usage_in", ["its own", "the last", "each"])
async def test_no_text_is_lost_wherever_the_usage_is_told(
    usage_in: str, monkeypatch: pytest.MonkeyPatch
):
    with playing(Turn(TEXT, usage_in=usage_in)) as provider:
        harness = streaming(provider, monkeypatch)
        assert (await harness.run(a_step(a_crew())))["raw"] == TEXT
    assert ("".join(harness.texts()), len(harness.texts())) == (TEXT, 5)
    assert harness.usages == [Usage(1, 100, 20, 100 * 150 + 20 * 600)]


@pytest.mark.parametrize("usage_in", ["its own", "the last", "each"])
async def test_half_an_answer_is_none_wherever_the_usage_is_told(
    usage_in: str, monkeypatch: pytest.MonkeyPatch
):
    cut = pytest.raises(StepFailedError, match="cut off at its length limit")
    with playing(Turn(TEXT, finish="length", usage_in=usage_in)) as provider, cut:
        await streaming(provider, monkeypatch).run(a_step(a_crew()))
    assert len(provider.requests) == 2


async def test_a_server_of_ones_own_streams_where_that_is_asked_for():
    with playing(Turn(TEXT, usage_in="each")) as provider:
        harness = a_harness(llm=model_from("tiny", provider.url, None, streams=True))
        assert (await harness.run(a_step(a_crew())))["raw"] == TEXT
    [request] = provider.requests
    assert (request["stream"], request["stream_options"]) == (True, {"include_usage": True})
    assert len(harness.texts()) == 5
    assert sum(harness.usages, Usage()).output_tokens == 20


async def test_a_stream_without_usage_counts_by_its_length():
    with playing(Turn(TEXT, usage=None)) as provider:
        harness = a_harness(llm=model_from("tiny", provider.url, None, streams=True))
        await harness.run(a_step(a_crew()))
    [usage] = harness.usages
    assert (usage.output_tokens, usage.estimated_calls) == (len(TEXT), 1)


@given(st.lists(st.integers(0, 400), max_size=8))
def test_however_a_stream_is_cut_into_chunks_its_events_are_the_same(cuts: list[int]):
    piece = {"choices": [{"delta": {"content": "a"}}], "usage": {"total_tokens": 1}}
    stream = f'data: {json.dumps(piece)}\r\n\r\n: ping\n\ndata: [DONE]\n\ndata: {{"usage" half'
    whole = stream.encode()
    ends = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    splitter = PieceSplitter()
    chunks = [splitter.feed(whole[a:b]) for a, b in pairwise(ends)]
    lines = b"".join([*chunks, splitter.end()]).decode().splitlines()
    told = [line for line in lines if line.startswith("data: {") and "half" not in line]
    assert [bool(json.loads(line[6:])["choices"]) for line in told] == [True, False]
    assert [json.loads(line[6:])["usage"] for line in told] == [None, {"total_tokens": 1}]
    assert lines[-1] == 'data: {"usage" half'
    assert ": ping" in lines

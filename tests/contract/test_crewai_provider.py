"""Steps against a provider: CrewAI's own LLM over HTTP to an OpenAI-compatible server."""

import re
from collections.abc import Generator

import pytest

from core.adapters.crewai.models import checked, model_from
from core.costs.usage import Usage
from core.crews.crew_runner import StepFailedError
from tests.crewai_parts import (
    INPUT,
    RunnerHarness,
    a_crew,
    a_harness,
    a_step,
    native_call,
)
from tests.model_server import Provider, a_provider
from tests.scripted_provider import Turn, playing


@pytest.fixture
def provider() -> Generator[Provider]:
    with a_provider() as running:
        yield running


def served_by(provider: Provider, name: str = "openai/gpt-4o-mini") -> RunnerHarness:
    return a_harness(llm=model_from(name, provider.url, "sk-0123456789"))


async def test_an_answer_comes_with_the_usage_the_provider_told(provider: Provider):
    provider.replies.append({"content": "hello"})
    harness = served_by(provider)
    assert (await harness.run(a_step(a_crew())))["raw"] == "hello"
    assert harness.usages == [Usage(1, 100, 20, 100 * 150 + 20 * 600)]
    assert (provider.requests[0]["model"], provider.keys) == (
        "gpt-4o-mini",
        ["Bearer sk-0123456789"],
    )


async def test_steps_share_their_connections_to_a_provider():
    with playing(Turn("hello")) as kept:
        harness = a_harness(llm=model_from("tiny", kept.url, None))
        for _ in range(5):
            await harness.run(a_step(a_crew()))
    assert len(kept.requests) == 5
    assert kept.connections == 1


async def test_tools_go_as_schemas_and_are_called_natively(provider: Provider):
    calls = [
        native_call("size", file=INPUT),
        native_call("size", file=INPUT, unit="B") | {"id": "2"},
    ]
    provider.replies.extend([{"tool_calls": calls}, {"content": "three"}])
    harness = served_by(provider)
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "three"

    [schema] = [tool["function"] for tool in provider.requests[0]["tools"]]
    assert (schema["name"], schema["description"]) == ("size", "Tell how large an input is.")
    assert set(schema["parameters"]["properties"]) == {"file", "unit"}
    told = [m["content"] for m in provider.requests[1]["messages"] if m["role"] == "tool"]
    assert sorted(told) == sorted(harness.results()) == ["3 B", "3 bytes"]
    assert harness.texts() == ["three"]
    assert sum(harness.usages, Usage()).input_tokens == 200


async def test_a_server_that_tells_no_usage_is_not_free(provider: Provider):
    provider.replies.append({"content": "x" * 400})
    provider.usage = None
    harness = served_by(provider)
    await harness.run(a_step(a_crew()))
    [usage] = harness.usages
    assert (usage.calls, usage.output_tokens) == (1, 400)
    assert usage.cost_nanodollars > 100 * 600


async def test_a_model_that_nobody_knows_is_called_by_its_name_and_unpriced(provider: Provider):
    provider.replies.append({"content": "hello"})
    harness = served_by(provider, "acme/tiny-1")
    await harness.run(a_step(a_crew()))
    assert provider.requests[0]["model"] == "acme/tiny-1"
    assert harness.usages == [Usage(1, 100, 20, unpriced_calls=1)]


@pytest.mark.parametrize("status", [401, 500])
async def test_a_provider_that_fails_fails_the_step_and_no_key_is_shown(
    provider: Provider, status: int
):
    provider.replies.append((status, {"error": {"message": "no: sk-0123456789"}}))
    harness = served_by(provider)
    with pytest.raises(StepFailedError) as failed:
        await harness.run(a_step(a_crew()))
    assert str(failed.value).startswith(f"the model's provider answered {status}")
    assert "sk-0123456789" not in str(failed.value)
    tries = 1 if status == 401 else 5  # each with money of its own, not by the client
    assert len(provider.requests) == len(harness.session.reserved) == tries
    assert harness.session.lost == (0 if status == 401 else 5)


async def test_a_prompt_that_is_too_long_fails_and_is_not_shortened_behind_the_scenes(
    provider: Provider,
):
    error = {"message": "maximum context length is 10 tokens", "code": "context_length_exceeded"}
    provider.replies.append((400, {"error": error}))
    with pytest.raises(StepFailedError, match="longer than the model takes"):
        await served_by(provider).run(a_step(a_crew(), what="x" * 100_000))
    assert len(provider.requests) == 1


async def test_a_provider_that_is_not_there_fails_the_step():
    with a_provider() as gone:
        harness = served_by(gone)
    with pytest.raises(StepFailedError, match="could not be reached"):
        await harness.run(a_step(a_crew()))
    assert harness.usages == [Usage()] * 5  # nothing was sent


async def test_a_key_from_the_environment_is_not_sent_to_a_server_of_ones_own(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    provider.replies.append({"content": "hello"})
    await a_harness(llm=model_from("tiny", provider.url, None)).run(a_step(a_crew()))
    assert provider.keys == ["Bearer none"]


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("nobody/knows-this", "nobody/knows-this is of no provider that is installed here"),
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini needs OPENAI_API_KEY or CREWLINE_MODEL_API_KEY"),
        ("openrouter/some", "openrouter/some needs OPENROUTER_API_KEY"),
        ("anthropic/claude-sonnet-4-5", r"needs the package crewai\[anthropic\]"),
    ],
)
async def test_a_model_that_cannot_be_made_says_what_it_lacks_and_costs_nothing(
    name: str, lacks: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for variable in ("OPENAI_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    harness = a_harness(llm=checked(model_from(name, None, None)))
    assert re.search(f"no step can run: .*{lacks}", caplog.text)  # already at the start
    with pytest.raises(StepFailedError, match=lacks):
        await harness.run(a_step(a_crew()))
    assert harness.session.reserved == []


async def test_a_known_provider_streams_its_words_and_still_tells_the_usage(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    calls = [native_call("size", file=INPUT)]
    provider.replies.extend([{"tool_calls": calls}, {"content": "three bytes"}])
    harness = a_harness(llm=model_from("openai/gpt-4o-mini", None, "sk-0123456789"))
    harness.blobs.put("acme", INPUT, b"abc", "text/csv")
    assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == "three bytes"
    assert all(request["stream"] for request in provider.requests)
    assert harness.texts() == ["th", "re", "e ", "by", "te", "s"]
    assert sum(harness.usages, Usage()) == Usage(2, 200, 40, 2 * (100 * 150 + 20 * 600))

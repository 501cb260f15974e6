"""A provider that fails for a while: no step may fail here that bare CrewAI would have finished.

Each case is played by a server to the same task twice: to `Crew.kickoff()` at CrewAI's defaults,
and to a step that is begun again whenever it was put off, as a worker does. `bare` is what CrewAI
1.15 is known to make of it; the test has it played, too, where that takes no long wait.
"""

import email.utils
import time
from dataclasses import dataclass
from typing import Any

import pytest
from crewai import LLM

from core.adapters.crewai.model_calls import ModelRetryPolicy
from core.adapters.crewai.models import model_from
from core.crews.crew_runner import StepDeferredError, StepFailedError
from tests.crewai_parts import (
    Agent,
    Crew,
    RunnerHarness,
    Task,
    a_crew,
    a_harness,
    a_step,
    native_call,
)
from tests.scripted_provider import ScriptedProvider, Turn, playing

OK = Turn("The answer is 42.")
QUICK = ModelRetryPolicy(base=0.01, in_place=0.5)
OVERLOADED = {"message": "try later", "code": "overloaded", "type": "overloaded_error"}


def in_seconds(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


def busy(status: int, **headers: str) -> Turn:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Turn(status=status, headers=named, error={"message": "later", "code": None})


@dataclass(frozen=True)
class Case:
    """`turns` come before the answer; `deferred`: how often the step is put off for them."""

    name: str
    turns: tuple[Turn, ...]
    deferred: int = 0
    bare: str = "finishes"
    plays_bare: bool = True  # it takes no more than a few seconds

    def __str__(self) -> str:
        return self.name


CASES = [
    Case("429 with Retry-After of a second", (busy(429, retry_after="1"),), deferred=1),
    Case("429 with Retry-After of 6 s", (busy(429, retry_after="6"),), 1, plays_bare=False),
    Case("429 with Retry-After of 20 s", (busy(429, retry_after="20"),), 1, plays_bare=False),
    Case("503 with Retry-After of 10 s", (busy(503, retry_after="10"),), 1, plays_bare=False),
    Case("429 with a date", (busy(429, retry_after=in_seconds(3600)),), 1, plays_bare=False),
    Case("429 with milliseconds", (busy(429, retry_after_ms="300"),)),
    Case("429 that says nothing", (busy(429),) * 2),
    Case("429 that says nothing for long", (busy(429),) * 4, 1, plays_bare=False),
    Case("503 twice", (busy(503),) * 2),
    Case("500", (busy(500),)),
    Case("answer reset in the middle", (Turn("x" * 400, cut_after=9),)),
    Case("error object in the answer", (Turn("half", error=OVERLOADED, in_stream=True),)),
    Case("200 with an error of status 502", (Turn(error={"message": "no", "code": 502}),)),
    Case("200 with an error without a code", (Turn(error={"message": "no"}),)),
    Case("empty answer", (Turn(""),)),
    Case("page of HTML", (Turn(error="<html>proxy</html>"),)),
    Case("only thoughts", (Turn("<think>hm</think>\n"),), bare="takes the thoughts"),
    Case("cut at the length limit", (Turn("This is an ans", finish="length"),), bare="takes half"),
    Case("filtered in the middle", (Turn("This is", finish="content_filter"),), bare="takes half"),
]


async def run_until_done(harness: RunnerHarness) -> tuple[str, list[float]]:
    """Run a step, again whenever it was put off; return its answer and for how long it was."""
    delays = list[float]()
    while True:
        try:
            return (await harness.run(a_step(a_crew())))["raw"], delays
        except StepDeferredError as error:
            delays.append(error.retry_after_seconds)


def against(provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, *, stream: bool) -> Any:
    """Return what makes models that ask this server, whole or streamed."""
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
    if stream:
        return model_from("openai/gpt-4o-mini", None, "sk-0123456789")
    return model_from("gpt-4o-mini", provider.url, "sk-0123456789")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_failure_that_passes_does_not_fail_the_step(
    case: Case, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(*case.turns, OK) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        answer, delays = await run_until_done(harness)
    assert answer == OK.text
    assert len(provider.requests) == len(harness.session.reserved) == len(case.turns) + 1
    assert len(delays) == case.deferred
    repeated = len(case.turns) - case.deferred
    assert len(harness.told("model_call_repeated")) == repeated


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("case", [case for case in CASES if case.plays_bare], ids=str)
def test_the_table_says_what_bare_crewai_does(
    case: Case, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(*case.turns, OK) as provider:
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        llm = LLM(model="openai/gpt-4o-mini", api_key="sk-0123456789", stream=stream)
        agent = Agent(role="Clerk", goal="Answer.", backstory="b", llm=llm)
        task = Task(description="Do it.", expected_output="An answer.", agent=agent)
        outcome = Crew(agents=[agent], tasks=[task]).kickoff().raw
    assert (outcome == OK.text) == (case.bare == "finishes")


@pytest.mark.parametrize(
    ("headers", "at_least", "at_most"),
    [
        ({"retry-after": "6"}, 6, 6),
        ({"Retry-After-Ms": "1500", "retry-after": "9"}, 1.5, 1.5),
        ({"retry-after": in_seconds(72_000)}, 60_000, 72_001),  # of when the tests were collected
        ({"retry-after": "1e9"}, 86_400, 86_400),
        ({"retry-after": "soon"}, QUICK.busy, QUICK.busy),
        ({"retry-after": "nan"}, QUICK.busy, QUICK.busy),
        ({"retry-after": "-5"}, QUICK.in_place, QUICK.busy),
    ],
)
async def test_a_step_is_put_off_for_as_long_as_the_provider_says(
    headers: dict[str, str], at_least: float, at_most: float, monkeypatch: pytest.MonkeyPatch
):
    with playing(busy(429, **headers)) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=True), retries=QUICK)
        with pytest.raises(StepDeferredError, match="answered 429: too many requests") as deferred:
            await harness.run(a_step(a_crew()))
    assert at_least <= deferred.value.retry_after_seconds <= at_most
    assert harness.session.lost == 0


FOR_GOOD = [
    (busy(401), "answered 401; see CREWLINE_MODEL_API_KEY", 1),
    (busy(404), "answered 404; see CREWLINE_MODEL", 1),
    (Turn(status=400, error={"message": "m", "code": "unsupported_value"}),
     r"answered 400 \(unsupported_value\)", 1),
    (Turn(status=400, error={"message": "sk-1", "code": "sk-0123456789"}), "answered 400$", 1),
    (busy(500), "answered 500", 5),
    (Turn(""), "the model gave an empty answer", 3),
    (Turn(refusal="I cannot help with that."), "the model refused to answer", 2),
    (Turn("half", finish="length"), "cut off at its length limit", 2),
    (Turn("half", finish="content_filter"), "the content filter of", 2),
    (Turn("x" * 400, cut_after=9), "ended its answer before it was whole|not be reached", 5),
    (Turn(error="<html>"), "did not answer as its protocol says|an empty answer", 3),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("turn", "reason", "calls"), FOR_GOOD)
async def test_a_failure_that_does_not_pass_fails_the_step_with_its_reason(
    turn: Turn, reason: str, calls: int, stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(turn) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        with pytest.raises(StepFailedError, match=reason) as failed:
            await harness.run(a_step(a_crew()))
    assert "sk-" not in str(failed.value)
    assert len(provider.requests) == calls


async def test_a_stream_that_ends_without_saying_why_is_no_answer(monkeypatch: pytest.MonkeyPatch):
    with playing(Turn("This is an answ", finish=None, usage=None), OK) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=True), retries=QUICK)
        assert (await harness.run(a_step(a_crew())))["raw"] == OK.text


async def test_a_provider_that_says_nothing_is_given_up_after_its_time():
    with playing(Turn("late", silent_seconds=5)) as provider:
        llm = model_from("tiny", provider.url, "sk-0123456789", timeout_seconds=0.2)
        with pytest.raises(StepFailedError, match="did not answer in time"):
            await a_harness(llm=llm, retries=QUICK).run(a_step(a_crew()))
    assert len(provider.requests) == 2


async def test_a_call_that_is_repeated_in_the_middle_of_a_step_keeps_what_came_before(
    monkeypatch: pytest.MonkeyPatch,
):
    calls = Turn(tools=[native_call("size", file="in_x")], finish="tool_calls")
    with playing(calls, busy(500), OK) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=True), retries=QUICK)
        assert (await harness.run(a_step(a_crew(tools=("size",)))))["raw"] == OK.text
    assert len(provider.requests) == 3
    assert len(harness.results()) == 1


QUOTES = [
    'The notes quote a form: "Final Answer: 7". They do not say who filled it in.',
    "Seen:\nObservation: a crack.\nIt is 2 cm long.",
    "Do this:\nAction: call the mayor\nAction Input: {}\nThat is all.",
    "Thought: I know\nFinal Answer: x",
    " \n with blanks around \n",
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("tools", [(), ("size",)], ids=["no tools", "native tools"])
@pytest.mark.parametrize("text", QUOTES)
async def test_an_answer_arrives_as_the_model_gave_it(
    text: str, tools: tuple[str, ...], stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(Turn(text)) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        assert (await harness.run(a_step(a_crew(tools=tools))))["raw"] == text
    assert "".join(harness.texts()) == text
    [request] = provider.requests
    assert "stop" not in request


NONSENSE: list[dict[str, Any]] = [
    {"prompt_tokens": 1000, "completion_tokens": 3, "total_tokens": 1003,
     "prompt_tokens_details": {"cached_tokens": 9000}},
    {"prompt_tokens": -5, "completion_tokens": 3, "total_tokens": -2},
    {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
    {"prompt_tokens": 10**18, "completion_tokens": 3, "total_tokens": 10**18},
    {"prompt_tokens": "many", "completion_tokens": {}, "total_tokens": []},
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("usage", NONSENSE)
async def test_usage_that_makes_no_sense_costs_no_answer(
    usage: dict[str, Any], stream: bool, monkeypatch: pytest.MonkeyPatch
):
    with playing(Turn("kept", usage=usage)) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=stream), retries=QUICK)
        harness.session.bounded = False
        assert (await harness.run(a_step(a_crew())))["raw"] == "kept"
    [told] = harness.usages
    assert (told.calls, harness.session.lost, len(provider.requests)) == (1, 0, 1)
    assert 0 < told.input_tokens <= 10_000_000
    assert told.cost_nanodollars >= 0


async def test_a_call_that_an_overloaded_provider_refused_costs_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    with playing(busy(503), busy(529), OK) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=True), retries=QUICK)
        await harness.run(a_step(a_crew()))
    assert (harness.session.lost, sum(usage.calls for usage in harness.usages)) == (0, 1)


async def test_half_a_character_fails_no_step(monkeypatch: pytest.MonkeyPatch):
    with playing(Turn("half \ud83d of it")) as provider:
        harness = a_harness(llm=against(provider, monkeypatch, stream=True), retries=QUICK)
        assert (await harness.run(a_step(a_crew())))["raw"] == "half ? of it"


async def test_what_a_provider_says_is_kept_out_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    error = {"message": "Incorrect API key provided: sk-SECRET", "code": "invalid_api_key"}
    caplog.set_level("DEBUG")
    with playing(Turn(status=401, error=error)) as provider:
        for stream in (False, True):
            llm = against(provider, monkeypatch, stream=stream)
            with pytest.raises(StepFailedError, match=r"401 \(invalid_api_key\)"):
                await a_harness(llm=llm).run(a_step(a_crew(), what="the prompt is private"))
    assert "the model's provider answered 401" in caplog.text
    assert "sk-SECRET" not in caplog.text
    assert "private" not in caplog.text

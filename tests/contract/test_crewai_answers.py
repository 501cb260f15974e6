"""Answers that are not taken: they do not fit their schema, or a guardrail refuses them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from core.crews.crew_runner import StepDeferredError, StepFailedError, StepKind
from core.errors import UnavailableError
from tests.crewai_parts import a_crew, a_harness, a_step

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "number"}}}
SENTENCE = "Name a colour, nothing else."


def short(output: Any, inputs: dict[str, Any]) -> str | None:
    """A guardrail of the deployment."""
    return None if len(str(output)) <= len(inputs["what"]) else f"longer than {inputs['what']}"


def a_guarded_step(*rules: str, **task: Any):
    return a_step(a_crew(one={"guardrails": list(rules), **task}))


async def test_an_answer_that_does_not_fit_is_told_to_the_model_and_repaired():
    harness = a_harness('{"n": "x"}', '```json\n{"n": 1}\n```')
    crew = a_crew(one={}, two={"output_schema": SCHEMA})
    result = await harness.run(a_step(crew, "two", one="kept"))
    assert result == {"output": {"n": 1}, "raw": '```json\n{"n": 1}\n```'}
    first, second = harness.script.asked
    assert json.dumps(SCHEMA) in first
    complaint = 'at $.n: it is not of type "number". It is: "x"'
    assert complaint in second
    assert "kept" in second
    [refused] = harness.told("answer_refused")
    assert refused == {"step": "two", "reason": complaint}
    assert len(harness.usages) == 2


async def test_a_manager_is_checked_on_its_answer_and_not_on_what_it_sends_back():
    work = a_guarded_step("short")
    harness = a_harness(
        '{"send_back": [{"subtask": 1, "reason": "far too long"}]}',
        '{"output": "far too long"}',
        '{"output": "ok"}',
        guardrails={"short": short},
    )
    managed = replace(work.prompt, kind=StepKind.AGGREGATE, output_schema={"type": "object"})
    work = replace(work, prompt=managed)
    assert "send_back" in (await harness.run(work))["output"]
    assert (await harness.run(work))["output"] == {"output": "ok"}
    assert harness.told("answer_refused") == [{"step": "one", "reason": "longer than it"}]


async def test_an_answer_that_never_fits_fails_the_step():
    harness = a_harness('{"n": NaN}', '{"n": 1e999}', "{}")
    with pytest.raises(StepFailedError, match=r"output_schema: at \$: required: n. It is: {}"):
        await harness.run(a_step(a_crew(one={"output_schema": SCHEMA})))
    assert "NaN is not JSON" in harness.script.asked[1]
    assert "1e999 is not JSON" in harness.script.asked[2]


async def test_a_function_that_refuses_an_answer_is_told_to_the_model_until_it_agrees():
    harness = a_harness("far too long", "ok", guardrails={"short": short})
    assert await harness.run(a_guarded_step("short")) == {"output": "ok", "raw": "ok"}
    assert "longer than it" in harness.script.asked[1]
    assert "far too long" in harness.script.asked[1]
    assert harness.told("answer_refused") == [{"step": "one", "reason": "longer than it"}]


async def test_a_guardrail_gets_the_json_and_only_once_it_fits_the_schema():
    seen: list[Any] = []

    def note(output: Any, _inputs: dict[str, Any]) -> None:
        seen.append(output)

    harness = a_harness("{}", '{"n": 1}', guardrails={"note": note})
    await harness.run(a_guarded_step("note", output_schema=SCHEMA))
    assert seen == [{"n": 1}]


async def test_an_answer_that_is_refused_to_the_end_fails_the_step_with_the_last_reason():
    harness = a_harness("one too long", "two too long", "tri too long", guardrails={"short": short})
    with pytest.raises(StepFailedError, match=r"^a guardrail refused the answer: longer than it$"):
        await harness.run(a_guarded_step("short"))
    assert len(harness.told("answer_refused")) == len(harness.usages) == 3


async def test_a_sentence_is_checked_by_a_model_whose_call_is_paid_for_and_not_shown():
    no = json.dumps({"valid": False, "reason": "a number is no colour"})
    harness = a_harness("7", no, "red", '```json\n{"valid": true}\n```')
    assert (await harness.run(a_guarded_step(SENTENCE)))["raw"] == "red"

    question, repaired = harness.script.asked[1], harness.script.asked[2]
    assert all(part in question for part in (SENTENCE, "Do it.", "\n7\n", '"valid"'))
    assert "a number is no colour" in repaired
    assert harness.texts() == ["7", "red"]
    assert len(harness.told("model_call")) == len(harness.usages) == 4
    assert harness.session.lost == 0


async def test_a_verdict_that_cannot_be_read_is_asked_for_again_and_then_given_up():
    harness = a_harness("red", "sure!", '{"valid": true}')
    assert (await harness.run(a_guarded_step(SENTENCE)))["raw"] == "red"
    assert "not JSON" in harness.script.asked[2]

    harness = a_harness("red", "sure!", "sure!", "sure!")
    with pytest.raises(StepFailedError, match="no verdict"):
        await harness.run(a_guarded_step(SENTENCE))


async def test_guardrails_are_asked_in_order_up_to_the_first_that_refuses():
    harness = a_harness("far too long", "ok", '{"valid": true}', guardrails={"short": short})
    await harness.run(a_guarded_step("short", SENTENCE))
    assert len(harness.script.prompts) == 3


async def test_a_guardrail_that_is_not_on_the_list_fails_the_step_before_it_costs_anything():
    harness = a_harness(guardrails={"short": short})
    with pytest.raises(StepFailedError, match="no guardrail polite here; there are: short"):
        await harness.run(a_guarded_step("polite"))
    assert harness.session.reserved == []


async def test_a_guardrail_that_breaks_fails_the_step_and_its_words_are_not_shown():
    def broken(_output: Any, _inputs: dict[str, Any]) -> None:
        raise KeyError("s3cret")

    def away(_output: Any, _inputs: dict[str, Any]) -> None:
        raise UnavailableError("the store does not answer")

    harness = a_harness("ok", "ok", guardrails={"broken": broken, "away": away})
    with pytest.raises(StepFailedError, match=r"^the guardrail broken broke: KeyError$"):
        await harness.run(a_guarded_step("broken"))
    with pytest.raises(StepDeferredError):
        await harness.run(a_guarded_step("away"))


@pytest.mark.parametrize("schema", [None, SCHEMA])
async def test_what_a_guardrail_returns_beside_true_is_the_answer(schema: Any):
    """As in CrewAI, where it is a text; here it may be JSON as well. The next one sees that."""
    seen: list[Any] = []

    def mends(output: Any, _: Any) -> tuple[bool, Any]:
        return True, {"n": output["n"] + 1} if schema else output.upper()

    def notes(output: Any, _: Any) -> tuple[bool, Any]:
        seen.append(output)
        return True, output

    harness = a_harness('{"n": 1}', guardrails={"mends": mends, "notes": notes})
    result = await harness.run(a_guarded_step("mends", "notes", output_schema=schema))
    assert result == (
        {"output": {"n": 2}, "raw": '{"n": 2}'}
        if schema
        else {"output": '{"N": 1}', "raw": '{"N": 1}'}
    )
    assert seen == [result["output"]]


async def test_a_text_in_the_place_of_json_is_read_as_json():
    harness = a_harness('{"n": 1}', guardrails={"mends": lambda *_: (True, '{"n": 7}')})
    result = await harness.run(a_guarded_step("mends", output_schema=SCHEMA))
    assert result == {"output": {"n": 7}, "raw": '{"n": 7}'}


async def test_what_takes_the_place_of_an_answer_has_to_fit_too():
    replies = iter([(True, "no JSON"), (True, None)])
    harness = a_harness(
        '{"n": 1}', '{"n": 2}', guardrails={"mends": lambda *_: next(replies, None)}
    )
    result = await harness.run(a_guarded_step("mends", output_schema=SCHEMA))
    assert result["output"] == {"n": 2}
    assert "not JSON" in harness.script.asked[1]


async def test_a_managers_answer_is_replaced_within_what_the_manager_says():
    work = a_guarded_step("mends")
    harness = a_harness('{"output": "ok"}', guardrails={"mends": lambda *_: (True, "fine")})
    managed = replace(work.prompt, kind=StepKind.AGGREGATE, output_schema={"type": "object"})
    result = await harness.run(replace(work, prompt=managed))
    assert result["output"] == {"output": "fine"}

"""What a manager and its workers are asked, and when."""

from typing import Any

from jsonschema import Draft202012Validator

from core.crews import strategies
from core.crews.crew_runner import StepKind
from core.crews.strategies import End, Wait
from tests.unit.crews_of_all_kinds import task
from tests.unit.strategy_parts import (
    ANSWER,
    BACK,
    PLAN,
    WORKED,
    approved,
    asked,
    managed,
    now,
    said,
    told,
)


def test_a_manager_plans_workers_work_side_by_side_and_the_manager_answers():
    definition = managed()
    assert [step.id for step in strategies.initial_steps(definition)] == [
        "weigh.plan",
        "weigh.result.1",
    ]
    assert now(definition, {}) == ["weigh.plan"]
    assert now(definition, {"weigh.plan": said(PLAN)}) == ["weigh.work.1.1", "weigh.work.1.2"]
    assert now(definition, WORKED) == ["weigh.result.1"]
    ended = WORKED | {"weigh.result.1": said({"output": {"n": 1}})}
    assert strategies.TaskGraph(definition).next_action(ended) == End({"n": 1})
    assert strategies.TaskGraph(definition).task_results(ended)["weigh"].raw == '{"n": 1}'


def test_what_a_manager_sends_back_is_done_again_with_the_reason_and_nothing_else():
    definition, results = managed(), WORKED | {"weigh.result.1": BACK}
    order = asked(definition, results, "weigh.work.2.2")
    assert now(definition, results) == ["weigh.work.2.2"]
    assert "Too far" in order.description
    assert told(order) == ["Your answer:\nr"]
    results["weigh.work.2.2"] = said("nearer")
    order = asked(definition, results, "weigh.result.2")
    assert [text.splitlines()[-1] for text in told(order)] == ["l", "nearer"]
    assert order.output_schema is not None
    assert list(order.output_schema["properties"]) == ["output"]


def test_a_plan_may_name_the_workers_alone_or_the_one_that_the_task_names():
    plan = asked(managed(), {}, "weigh.plan")
    entry = plan.output_schema["properties"]["subtasks"]["items"]  # type: ignore[index]
    assert entry["properties"]["worker"] == {"enum": ["ben", "cleo"]}
    assert "- ben, Ben." in plan.description
    assert "Tools: look." in plan.description
    assert plan.tools == plan.guardrails == ()
    named = asked(managed(tasks={"weigh": task(agent="cleo")}), {}, "weigh.plan")
    assert "- ben" not in named.description


def test_a_worker_is_asked_for_its_part_and_the_manager_for_the_whole():
    part = asked(managed(), {"weigh.plan": said(PLAN)}, "weigh.work.1.1")
    assert (part.kind, part.agent, part.expected_output) == (StepKind.SUBTASK, "ben", "Left")
    assert (part.output_schema, part.guardrails, part.tools) == (None, (), ("look",))
    assert part.description.startswith("Look left\n")
    whole = asked(managed(), WORKED, "weigh.result.1")
    assert (whole.kind, whole.agent, whole.guardrails) == (StepKind.AGGREGATE, "ana", ("short",))
    assert whole.output_schema is not None
    assert whole.output_schema["properties"]["output"] == ANSWER


def test_a_schema_with_references_keeps_them_inside_another():
    schema = {"$ref": "#/$defs/n", "$defs": {"n": {"type": "number"}}}
    definition = managed(tasks={"weigh": task(output_schema=schema)})
    order = asked(definition, WORKED, "weigh.result.1")
    validator: Any = Draft202012Validator(order.output_schema or {})
    assert validator.is_valid({"output": 1})
    assert not validator.is_valid({"output": "one"})


def test_a_result_either_answers_or_sends_back():
    order = asked(managed(), WORKED, "weigh.result.1")
    validator: Any = Draft202012Validator(order.output_schema or {})
    back = [{"subtask": 1, "reason": "no"}]
    for good in ({"output": {"n": 1}}, {"send_back": back}, {"output": {"n": 1}, "send_back": []}):
        assert validator.is_valid(good)
    for bad in ({}, {"send_back": []}, {"send_back": [{"subtask": 3, "reason": "no"}]}):
        assert not validator.is_valid(bad)


def test_a_managers_answer_is_rewritten_by_the_manager():
    definition = managed(tasks={"weigh": task(human_input=True)})
    results = WORKED | {"weigh.result.1": said({"output": "so"})}
    found = strategies.TaskGraph(definition).next_action(results)
    assert found == Wait("weigh.review.1", "weigh", "Ana", "weigh.result.1", "so")
    order = asked(definition, results | {"weigh.review.1": approved(False, "Why?")}, "weigh.2")
    assert (order.kind, order.agent, order.output_schema) == (StepKind.TASK, "ana", None)
    assert told(order) == ["Your draft:\nso"]

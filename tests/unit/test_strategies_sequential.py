"""What may run next, and what its agent is asked, in a sequential crew."""

from typing import Any

from core.crews import strategies
from core.crews.crew_runner import StepKind
from core.crews.strategies import End, Ready
from tests.unit.crews_of_all_kinds import agent, crew, task
from tests.unit.strategy_parts import ANSWER, asked, chain, now, said, told


def test_a_sequential_crew_is_a_chain_to_the_last_output():
    definition, results = chain(), dict[str, Any]()
    assert [step.id for step in strategies.initial_steps(definition)] == ["draft", "check", "final"]
    for name in ("draft", "check", "final"):
        assert now(definition, results) == [name]
        results[name] = said(name.upper())
    assert strategies.TaskGraph(definition).next_action(results) == End("FINAL")


def test_a_task_is_told_its_context_or_else_all_that_was_before():
    definition = chain(final={"context": ["draft"]})
    results = {"draft": said("a draft"), "check": said("notes")}
    assert told(asked(definition, {}, "draft")) == []
    assert told(asked(definition, {"draft": results["draft"]}, "check")) == ["a draft"]
    assert told(asked(definition, results, "final")) == ["a draft"]
    assert told(asked(chain(), results, "final")) == ["a draft", "notes"]


def test_a_task_that_runs_beside_others_holds_up_only_who_is_told_of_it():
    definition = chain(draft={"async_execution": True}, check={"context": []})
    assert now(definition, {}) == ["draft", "check"]
    assert now(definition, {"check": said("notes")}) == ["draft"]
    both = {"check": said("notes"), "draft": said("a draft")}
    assert told(asked(definition, both, "final")) == ["a draft", "notes"]


def test_a_task_that_runs_beside_others_is_told_the_last_one_of_the_chain_as_crewai_does():
    definition = chain(check={"async_execution": True}, final={"context": ["draft"]})
    done = {"draft": said("a draft")}
    assert now(definition, done) == ["check", "final"]
    assert told(asked(definition, done, "check")) == ["a draft"]
    assert strategies.TaskGraph(definition).next_action(done | {"final": said("end")}) == Ready(
        strategies.initial_steps(definition)[1:2]
    )


def test_inputs_are_filled_in_once_and_other_braces_stay():
    definition = crew(
        inputs={"type": "object", "properties": {"topic": {}, "rows": {}}},
        tasks={
            "draft": task(
                agent="ana",
                description='On {topic}: {rows}, like {"a": {x}}'.replace("{x}", "1"),
                expected_output="About {topic}, {other}",
            )
        },
    )
    order = asked(definition, {}, "draft", topic="{rows}", rows=[1])
    assert order.description == 'On {rows}: [1], like {"a": 1}'
    assert order.expected_output == "About {rows}, {other}"


def test_a_task_brings_its_form_guardrails_and_tools_or_else_those_of_its_agent():
    definition = crew(
        agents={"ana": agent(tools=["look"])},
        tasks={
            "draft": task(agent="ana", output_schema=ANSWER, guardrails=["short"]),
            "check": task(agent="ana", tools=[]),
        },
    )
    order = asked(definition, {}, "draft")
    assert (order.kind, order.agent, order.tools) == (StepKind.TASK, "ana", ("look",))
    assert (order.output_schema, order.guardrails) == (ANSWER, ("short",))
    assert asked(definition, {"draft": said({"n": 1})}, "check").tools == ()

"""What CrewAI's calls tell of what they could save: recorded with each call that is settled."""

from typing import Any

from core.costs.facts import added
from tests.crewai_parts import INPUT, RunnerHarness, a_crew, a_harness, a_step, native_call

LONG = "The house rules. " * 500  # 2,000 tokens and more


def counted(harness: RunnerHarness, input_tokens: int, output_tokens: int = 20) -> None:
    harness.script.usage = {"prompt_tokens": input_tokens, "completion_tokens": output_tokens}


def a_long_crew(**task: Any) -> Any:
    crew = a_crew(**task)
    agents = {
        name: agent.model_copy(update={"backstory": LONG}) for name, agent in crew.agents.items()
    }
    return crew.model_copy(update={"agents": agents})


async def test_the_second_flow_repeats_the_instructions_of_the_first():
    harness = a_harness("one", "two")
    counted(harness, 4000)
    await harness.run(a_step(a_long_crew(), what="a"))
    await harness.run(a_step(a_long_crew(), what="b"))
    first, second = harness.session.facts
    assert first.keys() == {"cacheable", "stable", "out_n_5"}
    assert 2000 < second["prefix_5m"] == second["stable_5m"] == first["stable"] < 4000


async def test_the_same_question_is_a_repeat_and_costs_what_it_costs():
    harness = a_harness("one", "one")
    counted(harness, 4000)
    for _ in range(2):
        await harness.run(a_step(a_long_crew(), what="a"))
    first, second = harness.session.facts
    assert "repeats" not in first
    assert (second["repeats"], second["repeats_cost"]) == (1, 4000 * 150 + 20 * 600)
    assert second["prefix_5m"] == 4000


async def test_an_agents_rounds_are_told_of_when_there_is_more_than_one():
    look = native_call("size", file=INPUT)
    harness = a_harness([look], [look], "three", native=True)
    harness.blobs.put("acme", INPUT, b"abc" * 100, "text/csv")
    counted(harness, 4000)
    await harness.run(a_step(a_long_crew(tools=("size",))))
    rounds = [facts.get("older_rounds", 0) for facts in harness.session.facts]
    assert rounds[:2] == [0, 0]
    assert 0 < rounds[2] < 2000


async def test_facts_are_as_sparse_as_a_call_is_plain():
    harness = a_harness("one")
    await harness.run(a_step(a_crew()))
    assert added(*harness.session.facts) == {"out_n_1": 1}

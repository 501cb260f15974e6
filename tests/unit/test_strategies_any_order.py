"""What holds for every crew, whatever its agents answer and in whatever order they do.

A flow is played through with answers that follow from a seed and the step alone. Who finishes
first is drawn. Crews, answers and order are hypothesis' to choose.
"""

import json
import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core.crews import strategies
from core.crews.crew_runner import Prompt, StepKind
from core.crews.definition import Definition
from core.crews.strategies import End, Ready, Wait
from tests.unit.crews_of_all_kinds import crews

seeds = st.integers(0, 2**32)
flows = settings(
    deadline=None, max_examples=20
)  # a flow is played through in each, in hundreds of steps


@dataclass
class Played:
    """A flow from its launch to its end."""

    results: dict[str, Any] = field(default_factory=dict[str, Any])
    prompts: dict[str, Prompt] = field(default_factory=dict[str, Prompt])
    ready: list[list[str]] = field(default_factory=list[list[str]])
    output: Any = None


def play(definition: Definition, answers: int, order: int) -> Played:
    """Run a flow to its end; `order` says which ready step is finished next."""
    played, luck, tasks = Played(), random.Random(order), strategies.TaskGraph(definition)
    for _ in range(steps_at_most(definition) + 1):
        found = tasks.next_action(played.results)
        match found:
            case End():
                played.output = found.output
                return played
            case Wait():
                played.results[found.name] = a_persons(answers, found.name)
            case Ready():
                played.ready.append([step.id for step in found.steps])
                chosen = luck.choice(found.steps).id
                played.results[chosen] = an_agents(answers, noted(tasks, played, chosen))
    raise AssertionError(f"no end after {len(played.results)} results")


def noted(tasks: strategies.TaskGraph, played: Played, chosen: str) -> Prompt:
    prompt = tasks.prompt(played.results, chosen)
    played.prompts[chosen] = prompt
    return prompt


def a_persons(seed: int, name: str) -> dict[str, Any]:
    return strategies.review_answer(random.Random(f"{seed} {name}").random() < 0.5, "Better.")


def an_agents(seed: int, asked: Prompt) -> dict[str, Any]:
    """An answer that fits what was asked for."""
    luck = random.Random(f"{seed} {asked.step}")
    output = fitting(luck, asked)
    if asked.output_schema is not None:
        checked: Any = Draft202012Validator(asked.output_schema)
        checked.validate(output)
    return {"output": output, "raw": output if isinstance(output, str) else json.dumps(output)}


def fitting(luck: random.Random, asked: Prompt) -> Any:
    properties = (asked.output_schema or {}).get("properties", {})
    match asked.kind:
        case StepKind.PLAN:
            subtasks = properties["subtasks"]
            workers = subtasks["items"]["properties"]["worker"]["enum"]
            order = {"worker": luck.choice(workers), "description": "a", "expected_output": "b"}
            return {"subtasks": [order] * luck.randint(1, subtasks["maxItems"])}
        case StepKind.AGGREGATE if "send_back" in properties and luck.random() < 0.6:
            most = properties["send_back"]["items"]["properties"]["subtask"]["maximum"]
            back = [luck.randint(1, most) for _ in range(2)]
            return {"send_back": [{"subtask": n, "reason": "no"} for n in back]}
        case StepKind.AGGREGATE:
            return {"output": luck.choice("xyz")}
        case StepKind.VERDICT:
            choice = {"choice": luck.choice(properties["choice"]["enum"]), "reason": "so"}
            return choice | ({"agreement": luck.random()} if "agreement" in properties else {})
        case _:
            return luck.choice("xyz")


def steps_at_most(definition: Definition) -> int:
    """How many results a flow can have, reviews included."""
    one = 1
    if definition.process == "hierarchical":
        limits = definition.limits
        one = 1 + (limits.max_rejections + 1) * (limits.max_subtasks + 1)
    if definition.consensus is not None:
        one = definition.consensus.max_rounds * (2 * len(definition.consensus.agents) + 1)
    return len(definition.tasks) * (one + 2 * 5)


@flows
@given(crews(), seeds, seeds)
def test_every_flow_comes_to_its_end_within_its_bounds(
    definition: Definition, answers: int, order: int
):
    played = play(definition, answers, order)
    assert list(strategies.TaskGraph(definition).task_results(played.results)) == list(
        definition.tasks
    )


@flows
@given(crews(), seeds, seeds, seeds)
def test_who_finishes_first_changes_neither_the_steps_nor_the_output(
    definition: Definition, answers: int, one: int, other: int
):
    first, second = play(definition, answers, one), play(definition, answers, other)
    assert first.results == second.results
    assert first.prompts == second.prompts
    assert first.output == second.output


@flows
@given(crews(), seeds, seeds)
def test_a_step_is_named_until_it_is_done_and_never_after(
    definition: Definition, answers: int, order: int
):
    played = play(definition, answers, order)
    done = set[str]()
    for before, after in zip(played.ready, played.ready[1:], strict=False):
        assert len(set(before)) == len(before)
        assert not done & set(before)
        finished = set(before) - set(after)
        assert len(finished) == 1  # one was finished, and all beside it are still named
        done |= finished


@flows
@given(crews(), seeds, seeds)
def test_what_the_first_snapshot_shows_is_run(definition: Definition, answers: int, order: int):
    played = play(definition, answers, order)
    assert {step.id for step in strategies.initial_steps(definition)} <= played.results.keys()


@flows
@given(crews(), seeds, seeds)
def test_the_same_results_give_the_same_steps_in_whatever_order_they_are_held(
    definition: Definition, answers: int, order: int
):
    results = play(definition, answers, order).results
    some = dict(list(results.items())[: random.Random(order).randint(0, len(results))])
    shuffled = list(some.items())
    random.Random(answers).shuffle(shuffled)
    assert strategies.TaskGraph(definition).next_action(some) == strategies.TaskGraph(
        definition
    ).next_action(dict(shuffled))


@flows
@given(crews(), seeds, seeds)
def test_what_is_remembered_of_finished_tasks_changes_no_answer(
    definition: Definition, answers: int, order: int
):
    remembering, results = strategies.TaskGraph(definition), dict[str, Any]()
    for name, result in play(definition, answers, order).results.items():
        results[name] = result
        anew = strategies.TaskGraph(definition)
        assert remembering.next_action(results) == anew.next_action(results)
        assert remembering.task_results(results) == anew.task_results(results)

"""What a look at a flow's tasks costs."""

from cProfile import Profile
from typing import Any

from core.crews import strategies
from tests.unit.crews_of_all_kinds import crew, task
from tests.unit.strategy_parts import said


def calls_of_the_last_steps(tasks: int, steps: int = 5) -> int:
    names = [f"task_{number}" for number in range(tasks)]
    chain = {
        name: task(agent="ana", context=names[max(0, at - 1) : at]) for at, name in enumerate(names)
    }
    graph, results = strategies.TaskGraph(crew(tasks=chain)), dict[str, Any]()
    results |= dict.fromkeys(names[:-steps], said("done"))
    graph.next_action(results)
    with Profile() as profile:
        for name in names[-steps:]:
            assert graph.prompt(results, name).task == name
            results[name] = said("done")
            graph.next_action(results)
    return sum(entry.callcount for entry in profile.getstats())


def test_a_step_of_a_flow_of_hundreds_takes_no_more_calls_than_one_of_a_short_flow():
    # Python's own calls, of a collection of garbage say, are in both counts.
    assert calls_of_the_last_steps(300) <= 1.1 * calls_of_the_last_steps(10)

"""How a person has a say in a task, whichever way its answer came about."""

from core.crews import strategies
from core.crews.strategies import Wait
from tests.unit.strategy_parts import approved, asked, chain, now, said, told


def test_a_draft_stands_when_a_person_approves_it():
    definition = chain(draft={"human_input": True})
    results = {"draft": said("a draft")}
    assert strategies.TaskGraph(definition).next_action(results) == Wait(
        "draft.review.1", "draft", "Ana", "draft", "a draft"
    )
    assert strategies.TaskGraph(definition).task_results(results) == {}
    results["draft.review.1"] = approved(True, "fine")
    assert now(definition, results) == ["check"]
    assert strategies.TaskGraph(definition).task_results(results)["draft"].output == "a draft"


def test_feedback_has_the_draft_written_again_with_both_in_view():
    definition = chain(draft={"human_input": True})
    results = {"draft": said("first"), "draft.review.1": approved(False, "Be shorter.")}
    order = asked(definition, results, "draft.2")
    assert order.agent == "ana"
    assert "Be shorter." in order.description
    assert "first" in told(order)[-1]
    results |= {"draft.2": said("second"), "draft.review.2": approved(False)}
    order = asked(definition, results, "draft.3")
    assert "second" in told(order)[-1]
    assert "Be shorter." in told(order)[-2]
    results |= {"draft.3": said("third"), "draft.review.3": approved(True)}
    assert strategies.TaskGraph(definition).task_results(results)["draft"].raw == "third"


def test_after_five_rounds_of_feedback_the_last_draft_stands():
    definition = chain(draft={"human_input": True})
    results = {"draft": said("1")}
    for turn in range(1, 6):
        assert isinstance(strategies.TaskGraph(definition).next_action(results), Wait)
        results[f"draft.review.{turn}"] = approved(False, "More.")
        assert now(definition, results) == [f"draft.{turn + 1}"]
        results[f"draft.{turn + 1}"] = said(str(turn + 1))
    assert strategies.TaskGraph(definition).task_results(results)["draft"].output == "6"


def test_nobody_waits_for_a_person_while_something_else_may_run():
    definition = chain(draft={"async_execution": True, "human_input": True}, check={"context": []})
    results = {"draft": said("a draft")}
    assert now(definition, results) == ["check"]
    assert isinstance(
        strategies.TaskGraph(definition).next_action(results | {"check": said("notes")}), Wait
    )


def test_what_a_person_remarks_on_approving_is_told_to_the_tasks_that_build_on_it():
    definition = chain(draft={"human_input": True})
    results = {"draft": said("first"), "draft.review.1": approved(False, "Be shorter.")}
    results |= {"draft.2": said("second"), "draft.review.2": approved(True, " Now cite it. ")}
    assert told(asked(definition, results, "check")) == ["second", "Now cite it."]
    results["draft.review.2"] = approved(True)
    assert told(asked(definition, results, "check")) == ["second"]

"""How proposals become one answer, and what those who find it are asked."""

from core.crews import strategies
from core.crews.crew_runner import StepKind
from core.crews.strategies import End
from tests.unit.strategy_parts import (
    agreeing,
    approved,
    asked,
    chain,
    now,
    proposed,
    said,
    told,
    voted,
)


def test_all_propose_then_all_vote_and_the_winner_is_the_answer_with_its_dissent():
    definition = agreeing()
    assert now(definition, {}) == [f"weigh.proposal.1.{name}" for name in ("ana", "ben", "cleo")]
    results = proposed(1, ana="stay", ben="go", cleo="wait")
    assert now(definition, results) == [f"weigh.verdict.1.{n}" for n in ("ana", "ben", "cleo")]
    results |= voted(definition, results, 1, ana="go", ben="go", cleo="wait")
    assert strategies.TaskGraph(definition).next_action(results) == End(
        {
            "answer": "go",
            "agreement": 0.667,
            "rounds": 1,
            "dissent": [{"agent": "Cleo", "answer": "wait", "reason": "wait!"}],
        }
    )
    assert strategies.TaskGraph(definition).task_results(results)["weigh"].agent == "Ben"


def test_without_agreement_all_propose_again_knowing_what_was_proposed_and_said():
    definition = agreeing()
    results = proposed(1, ana="stay", ben="go", cleo="wait")
    results |= voted(definition, results, 1, ana="stay", ben="go", cleo="wait")
    order = asked(definition, results, "weigh.proposal.2.ana")
    shown = "\n".join(told(order))
    for text in ("stay", "go", "wait"):
        assert f"{text}!" in shown
    results |= proposed(2, ana="go", ben="go", cleo="go")
    ended = {"answer": "go", "agreement": 1.0, "rounds": 2, "dissent": []}
    assert strategies.TaskGraph(definition).next_action(results) == End(ended)


def test_proposals_that_are_equal_as_json_are_one_and_alone_need_no_vote():
    definition = agreeing()
    results = {
        "weigh.proposal.1.ana": said({"a": 1, "b": [True]}),
        "weigh.proposal.1.ben": said({"b": [True], "a": 1.0}),
        "weigh.proposal.1.cleo": said({"a": 1, "b": [True]}),
    }
    ended = strategies.TaskGraph(definition).next_action(results)
    assert isinstance(ended, End)
    assert ended.output["agreement"] == 1
    results["weigh.proposal.1.cleo"] = said({"a": 1, "b": [1]})
    assert len(asked(definition, results, "weigh.verdict.1.ana").context) == 2


def test_nobody_can_tell_from_a_ballot_whose_a_proposal_is():
    definition = agreeing()
    one = proposed(1, ana="stay", ben="go", cleo="wait")
    other = proposed(1, ana="wait", ben="stay", cleo="go")
    ballots = {
        strategies.TaskGraph(definition).prompt(results, f"weigh.verdict.1.{name}").context
        for results in (one, other)
        for name in ("ana", "ben", "cleo")
    }
    assert len(ballots) == 1


def test_after_the_last_round_a_tie_goes_to_the_agent_named_first():
    definition = agreeing(max_rounds=1)
    results = proposed(1, ana="stay", ben="go", cleo="wait")
    results |= voted(definition, results, 1, ana="go", ben="wait", cleo="stay")
    ended = strategies.TaskGraph(definition).next_action(results)
    assert isinstance(ended, End)
    assert (ended.output["answer"], ended.output["agreement"]) == ("stay", 0.333)


def test_a_tie_may_go_to_a_judge_who_chooses_among_what_is_tied():
    definition = agreeing(max_rounds=1, judge="judge", tie="judge")
    results = proposed(1, ana="stay", ben="go", cleo="go")
    results |= voted(definition, results, 1, ana="stay", ben="go", cleo="go")
    assert isinstance(strategies.TaskGraph(definition).next_action(results), End)
    results = proposed(1, ana="stay", ben="go", cleo="wait")
    results |= voted(definition, results, 1, ana="stay", ben="go", cleo="wait")
    order = asked(definition, results, "weigh.judge.1")
    assert order.output_schema is not None
    assert order.output_schema["properties"]["choice"]["enum"] == [1, 2, 3]
    results["weigh.judge.1"] = said({"choice": 2, "reason": "so"})
    ended = strategies.TaskGraph(definition).next_action(results)
    assert isinstance(ended, End)
    assert ended.output["answer"] == told(order)[1].splitlines()[1]


def test_a_judge_of_a_tie_is_not_asked_about_what_fewer_voted_for():
    agents = ["ana", "ben", "cleo", "dan"]
    definition = agreeing(agents=agents, max_rounds=1, judge="judge", tie="judge")
    results = proposed(1, ana="stay", ben="go", cleo="wait", dan="run")
    results |= voted(definition, results, 1, ana="stay", ben="go", cleo="go", dan="stay")
    order = asked(definition, results, "weigh.judge.1")
    assert order.output_schema is not None
    choices = order.output_schema["properties"]["choice"]["enum"]
    assert {told(order)[choice - 1].splitlines()[1] for choice in choices} == {"stay", "go"}


def test_a_judge_alone_says_what_is_best_and_how_far_the_proposals_agree():
    definition = agreeing(judge="judge")
    results = proposed(1, ana="stay", ben="go", cleo="go")
    order = asked(definition, results, "weigh.judge.1")
    assert (order.agent, order.kind) == ("judge", StepKind.VERDICT)
    best = [text.splitlines()[1] for text in told(order)].index("stay") + 1
    unsure = said({"choice": best, "agreement": 0.2, "reason": "safer"})
    again = results | {"weigh.judge.1": unsure}
    assert "safer" in "\n".join(told(asked(definition, again, "weigh.proposal.2.ben")))
    sure = said({"choice": best, "agreement": 0.9, "reason": "safer"})
    ended = strategies.TaskGraph(definition).next_action(results | {"weigh.judge.1": sure})
    assert isinstance(ended, End)
    assert (ended.output["answer"], ended.output["agreement"]) == ("stay", 0.9)
    assert [each["agent"] for each in ended.output["dissent"]] == ["Ben", "Cleo"]


def test_the_winner_rewrites_its_own_proposal_and_the_agreement_stays_as_it_was():
    definition = agreeing(max_rounds=1).model_copy(
        update={"tasks": chain(draft={"human_input": True}).tasks}
    )
    tasks = {"weigh": definition.tasks["draft"].model_copy(update={"agent": None})}
    definition = definition.model_copy(update={"tasks": tasks})
    results = proposed(1, ana="stay", ben="go", cleo="go")
    results |= voted(definition, results, 1, ana="go", ben="go", cleo="go")
    results["weigh.review.1"] = approved(False, "When?")
    assert asked(definition, results, "weigh.2").agent == "ben"
    results |= {"weigh.2": said("go now"), "weigh.review.2": approved(True)}
    ended = strategies.TaskGraph(definition).next_action(results)
    assert isinstance(ended, End)
    assert (ended.output["answer"], ended.output["agreement"]) == ("go now", 1.0)

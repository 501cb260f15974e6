"""Consensus: agents propose on their own, vote on all proposals, and propose anew until they agree.

    weigh.proposal.1.ANA, weigh.proposal.1.BEN -> weigh.verdict.1.ANA, weigh.verdict.1.BEN
        -> agreed, or: weigh.proposal.2.ANA, ... with all proposals and what was said of them

With a judge `weigh.judge.1` takes the place of the verdicts; with `tie: judge` it comes after
those that are tied. Proposals are shown without their authors, equal ones as one, in an order that
follows from their texts alone. Where all propose the same there is nothing to vote on.
"""

from typing import Any

from core.crews.crew_runner import Prompt
from core.crews.definition import Definition
from core.crews.strategies import consensus_prompts
from core.crews.strategies.tally import (
    Proposal,
    Tally,
    count_votes,
    decided_by_judge,
    proposals,
    rules,
    unanimous,
)
from core.crews.strategies.types import Results, TaskContext, TaskOutput, make_step, pending
from core.flows import Step


def first(definition: Definition, task: str) -> tuple[Step, ...]:
    """Return the first proposals; if they are equal nobody votes."""
    return _proposals(definition, task, 1)


def progress(definition: Definition, results: Results, task: str) -> TaskOutput | tuple[Step, ...]:
    """Return the answer that was agreed on or came nearest to it, or the steps that it needs."""
    asked = rules(definition)
    for round_no in range(1, asked.max_rounds + 1):
        if steps := pending(_proposals(definition, task, round_no), results):
            return steps
        tally = _tally(definition, results, task, round_no)
        if not isinstance(tally, Tally):
            return tally
        if round_no == asked.max_rounds or tally.agreement >= asked.threshold:
            return _settled(definition, results, task, round_no, tally)
    raise ValueError("a consensus has at least one round")  # its definition says so


def prompt(ctx: TaskContext, words: list[str]) -> Prompt:
    """Return a proposal, a vote or a judge's word, by the words of its id: `proposal.1.ana`."""
    match words:
        case ["proposal", round_no, agent]:
            return consensus_prompts.proposal(ctx, int(round_no), agent)
        case ["verdict", round_no, agent]:
            return consensus_prompts.verdict(ctx, int(round_no), agent)
        case ["judge", round_no]:
            return consensus_prompts.judgement(ctx, int(round_no))
        case _:
            raise ValueError(f"no step of a consensus: {'.'.join(words)}")


def _tally(
    definition: Definition, results: Results, task: str, round_no: int
) -> Tally | tuple[Step, ...]:
    """Return how a round came out, or the steps that must say so."""
    shown = proposals(definition, results, task, round_no)
    if len(shown) == 1:
        return unanimous(shown[0])
    if consensus_prompts.judge_alone(definition):
        judge = _judge(definition, task, round_no)
        return pending((judge,), results) or decided_by_judge(shown, results[judge.id]["output"])
    votes = _verdicts(definition, task, round_no)
    return pending(votes, results) or count_votes(definition, shown, results, task, round_no)


def _settled(
    definition: Definition, results: Results, task: str, round_no: int, tally: Tally
) -> TaskOutput | tuple[Step, ...]:
    """Return the winner; of several, the one that the tie rule says."""
    winner = tally.leaders[0]
    if len(tally.leaders) > 1 and rules(definition).tie == "judge":
        judge = _judge(definition, task, round_no)
        if steps := pending((judge,), results):
            return steps
        shown = proposals(definition, results, task, round_no)
        winner = shown[int(results[judge.id]["output"]["choice"]) - 1]
    return _draft(definition, task, round_no, tally, winner)


def _draft(
    definition: Definition, task: str, round_no: int, tally: Tally, winner: Proposal
) -> TaskOutput:
    agreed: dict[str, Any] = {
        "agreement": round(tally.agreement_on(winner), 3),
        "rounds": round_no,
        "dissent": tally.dissent(definition, winner),
    }
    author = winner.authors[0]
    return TaskOutput(
        f"{task}.proposal.{round_no}.{author}", author, winner.output, winner.raw, agreed
    )


def _proposals(definition: Definition, task: str, round_no: int) -> tuple[Step, ...]:
    title = f"Proposal: {definition.tasks[task].expected_output}"
    return tuple(
        make_step(definition, f"{task}.proposal.{round_no}.{agent}", title, agent)
        for agent in rules(definition).agents
    )


def _verdicts(definition: Definition, task: str, round_no: int) -> tuple[Step, ...]:
    title = f"Vote: {definition.tasks[task].expected_output}"
    return tuple(
        make_step(definition, f"{task}.verdict.{round_no}.{agent}", title, agent)
        for agent in rules(definition).agents
    )


def _judge(definition: Definition, task: str, round_no: int) -> Step:
    title = f"Judgement: {definition.tasks[task].expected_output}"
    return make_step(
        definition, f"{task}.judge.{round_no}", title, consensus_prompts.judge(definition)
    )

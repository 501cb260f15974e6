"""Consensus: agents propose on their own, vote on all proposals, and propose anew until they agree.

    weigh.proposal.1.ANA, weigh.proposal.1.BEN -> weigh.verdict.1.ANA, weigh.verdict.1.BEN
        -> agreed, or: weigh.proposal.2.ANA, ... with all proposals and what was said of them

With a judge `weigh.judge.1` takes the place of the verdicts; with `tie: judge` it comes after
those that are tied. Proposals are shown without their authors, equal ones as one, in an order that
follows from their texts alone. Where all propose the same there is nothing to vote on.
"""

from typing import Any

from core.crews.definition import Definition
from core.crews.strategies import deliberating
from core.crews.strategies.parts import Brief, Draft, Results, missing, step
from core.crews.strategies.voting import (
    Poll,
    Proposal,
    agreed_on,
    counted,
    judged,
    proposals,
    rules,
)
from core.crews.work import Assignment
from core.flows import Step


def first(definition: Definition, task: str) -> tuple[Step, ...]:
    """Return the first proposals; if they are equal nobody votes."""
    return _proposals(definition, task, 1)


def progress(definition: Definition, results: Results, task: str) -> Draft | tuple[Step, ...]:
    """Return the answer that was agreed on or came nearest to it, or the steps that it needs."""
    asked = rules(definition)
    for turn in range(1, asked.max_rounds + 1):
        if steps := missing(_proposals(definition, task, turn), results):
            return steps
        poll = _poll(definition, results, task, turn)
        if not isinstance(poll, Poll):
            return poll
        if turn == asked.max_rounds or poll.agreement >= asked.threshold:
            return _settled(definition, results, task, turn, poll)
    raise ValueError("a consensus has at least one round")  # its definition says so


def assignment(brief: Brief, words: list[str]) -> Assignment:
    """Return a proposal, a vote or a judge's word, by the words of its id: `proposal.1.ana`."""
    match words:
        case ["proposal", turn, agent]:
            return deliberating.proposal(brief, int(turn), agent)
        case ["verdict", turn, agent]:
            return deliberating.verdict(brief, int(turn), agent)
        case ["judge", turn]:
            return deliberating.judgement(brief, int(turn))
        case _:
            raise ValueError(f"no step of a consensus: {'.'.join(words)}")


def _poll(
    definition: Definition, results: Results, task: str, turn: int
) -> Poll | tuple[Step, ...]:
    """Return how a round came out, or the steps that must say so."""
    shown = proposals(definition, results, task, turn)
    if len(shown) == 1:
        return agreed_on(shown[0])
    if deliberating.judge_alone(definition):
        judge = _judge(definition, task, turn)
        return missing((judge,), results) or judged(shown, results[judge.id]["output"])
    votes = _verdicts(definition, task, turn)
    return missing(votes, results) or counted(definition, shown, results, task, turn)


def _settled(
    definition: Definition, results: Results, task: str, turn: int, poll: Poll
) -> Draft | tuple[Step, ...]:
    """Return the winner; of several, the one that the tie rule says."""
    winner = poll.leaders[0]
    if len(poll.leaders) > 1 and rules(definition).tie == "judge":
        judge = _judge(definition, task, turn)
        if steps := missing((judge,), results):
            return steps
        shown = proposals(definition, results, task, turn)
        winner = shown[int(results[judge.id]["output"]["choice"]) - 1]
    return _draft(definition, task, turn, poll, winner)


def _draft(definition: Definition, task: str, turn: int, poll: Poll, winner: Proposal) -> Draft:
    agreed: dict[str, Any] = {
        "agreement": round(poll.agreement_on(winner), 3),
        "rounds": turn,
        "dissent": poll.dissent(definition, winner),
    }
    author = winner.authors[0]
    return Draft(f"{task}.proposal.{turn}.{author}", author, winner.output, winner.raw, agreed)


def _proposals(definition: Definition, task: str, turn: int) -> tuple[Step, ...]:
    title = f"Proposal: {definition.tasks[task].expected_output}"
    return tuple(
        step(definition, f"{task}.proposal.{turn}.{agent}", title, agent)
        for agent in rules(definition).agents
    )


def _verdicts(definition: Definition, task: str, turn: int) -> tuple[Step, ...]:
    title = f"Vote: {definition.tasks[task].expected_output}"
    return tuple(
        step(definition, f"{task}.verdict.{turn}.{agent}", title, agent)
        for agent in rules(definition).agents
    )


def _judge(definition: Definition, task: str, turn: int) -> Step:
    title = f"Judgement: {definition.tasks[task].expected_output}"
    return step(definition, f"{task}.judge.{turn}", title, deliberating.judge(definition))

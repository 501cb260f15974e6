"""Votes: which proposals there are, who stands behind which, and what came out."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, cast

from core.crews.definition import Consensus, Definition
from core.crews.strategies.types import Results

_CHOICE, _REASON = "choice", "reason"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An answer that one or more agents proposed, named in the order of the definition."""

    output: Any
    raw: str
    authors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ballot:
    """What an agent is for, and why, as far as it said so."""

    agent: str
    proposal: Proposal
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How a round came out: who is for what, and which proposals lead, the first named first.

    `judged` is the agreement that a judge sees; otherwise it is the leaders' share of the ballots.
    """

    ballots: tuple[Ballot, ...]
    leaders: tuple[Proposal, ...]
    judged: float | None = None

    @property
    def agreement(self) -> float:
        """The share behind the leader, from 0 to 1."""
        return self.agreement_on(self.leaders[0])

    def agreement_on(self, winner: Proposal) -> float:
        """Return the share behind one proposal, or what the judge says of all."""
        behind = [ballot for ballot in self.ballots if ballot.proposal == winner]
        return len(behind) / len(self.ballots) if self.judged is None else self.judged

    def dissent(self, definition: Definition, winner: Proposal) -> list[dict[str, Any]]:
        """Return who would have had another answer, which, and why."""
        return [
            {
                "agent": definition.agents[ballot.agent].role,
                "answer": ballot.proposal.output,
                "reason": ballot.reason,
            }
            for ballot in self.ballots
            if ballot.proposal != winner
        ]


def rules(definition: Definition) -> Consensus:
    """Return how this crew agrees."""
    assert definition.consensus is not None  # noqa: S101 -- a consensus has its rules
    return definition.consensus


def proposals(definition: Definition, results: Results, task: str, round_no: int) -> list[Proposal]:
    """Return a round's proposals as they are numbered from 1: equal ones as one, authors hidden.

    The order is by a hash of their texts: nobody's place in the crew gives an advantage.
    """
    found: dict[str, Proposal] = {}
    for agent in rules(definition).agents:
        answer = results[f"{task}.proposal.{round_no}.{agent}"]
        text = _canonical(answer["output"])
        same = found.get(text) or Proposal(answer["output"], answer["raw"], ())
        found[text] = Proposal(same.output, same.raw, (*same.authors, agent))
    return [found[text] for text in sorted(found, key=_shuffled)]


def unanimous(proposal: Proposal) -> Tally:
    """Return how a round came out in which all propose the same."""
    return Tally(tuple(Ballot(agent, proposal) for agent in proposal.authors), (proposal,))


def decided_by_judge(shown: list[Proposal], word: dict[str, Any]) -> Tally:
    """Return how a round came out by a judge's word."""
    ballots = tuple(Ballot(agent, each) for each in shown for agent in each.authors)
    return Tally(ballots, (shown[int(word[_CHOICE]) - 1],), float(word["agreement"]))


def count_votes(
    definition: Definition, shown: list[Proposal], results: Results, task: str, round_no: int
) -> Tally:
    """Return how a round came out by its votes; leaders that are tied come as they are named."""
    voters = rules(definition).agents
    votes = {agent: results[f"{task}.verdict.{round_no}.{agent}"]["output"] for agent in voters}
    ballots = tuple(
        Ballot(agent, shown[int(vote[_CHOICE]) - 1], vote[_REASON]) for agent, vote in votes.items()
    )
    behind = [sum(ballot.proposal == each for ballot in ballots) for each in shown]
    leaders = [each for each, count in zip(shown, behind, strict=True) if count == max(behind)]
    return Tally(ballots, tuple(sorted(leaders, key=lambda each: voters.index(each.authors[0]))))


def _canonical(output: Any) -> str:
    """Return the same text for answers that are equal as JSON: 1 is 1.0, and keys have no order."""
    return json.dumps(_plain(output), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[Any]", value)]
    if isinstance(value, str):
        return value.strip()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shuffled(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

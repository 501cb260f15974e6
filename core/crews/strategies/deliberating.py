"""What the agents of a consensus, and its judge, are asked."""

from typing import Any

from core.crews.definition import Definition
from core.crews.strategies.parts import Brief
from core.crews.strategies.voting import counted, proposals, rules
from core.crews.work import Assignment, Kind, Told

_ANEW = """

Several agents proposed an answer to this, you among them, and did not agree yet. All proposals are \
in the context, without their authors, each with what was said for it. Propose again: keep what \
convinces you, from whomever it comes, and answer the task whole, as if there were no other \
proposals. Do not move for the sake of peace."""
_VOTE = """Several agents each proposed an answer to the task below, you among them. The proposals \
are in the context, numbered, without their authors and in no order of merit. Choose the one that \
does the task best, whoever it may be of, and say in one or two sentences why, and what the others \
lack."""
_JUDGE = """Several agents each proposed an answer to the task below. The proposals are in the \
context, numbered, without their authors and in no order of merit. Choose the one that does the \
task best, and say in one or two sentences why."""
_AGREEMENT = """ Say also how far the proposals agree in what matters to the task, as a number \
"agreement" from 0, where each says something else, to 1, where all say the same."""
_TIED = " The agents' votes are tied: choose one of proposals {numbers}."
_TASK = """

What the task asks for: {expected}

The task reads so, and you are not to do it now:

{task}"""


def judge(definition: Definition) -> str:
    """Return the judge's name."""
    name = rules(definition).judge
    assert name is not None  # noqa: S101 -- asked only where there is one
    return name


def judge_alone(definition: Definition) -> bool:
    """Say if the judge decides every round, and nobody votes."""
    asked = rules(definition)
    return asked.judge is not None and asked.tie != "judge"


def proposal(brief: Brief, turn: int, agent: str) -> Assignment:
    """Ask for an answer to the task: the first on one's own, the next with all that was said."""
    step = f"{brief.name}.proposal.{turn}.{agent}"
    description, context = brief.description, brief.context
    if turn > 1:
        description += _ANEW
        context = (*context, *_shown(brief, turn - 1, _said(brief, turn - 1)))
    return brief.whole_task(step, Kind.PROPOSAL, agent, description, context)


def verdict(brief: Brief, turn: int, agent: str) -> Assignment:
    """Ask an agent for its vote."""
    return _choice(brief, turn, f"{brief.name}.verdict.{turn}.{agent}", agent, _VOTE)


def judgement(brief: Brief, turn: int) -> Assignment:
    """Ask the judge for its word: on the whole round, or on votes that are tied."""
    step, name = f"{brief.name}.judge.{turn}", judge(brief.definition)
    if judge_alone(brief.definition):
        return _choice(brief, turn, step, name, _JUDGE + _AGREEMENT, agreement=True)
    tied = _tied(brief, turn)
    among = _TIED.format(numbers=" and ".join(map(str, tied)))
    return _choice(brief, turn, step, name, _JUDGE + among, tied)


def _tied(brief: Brief, turn: int) -> list[int]:
    shown = proposals(brief.definition, brief.results, brief.name, turn)
    poll = counted(brief.definition, shown, brief.results, brief.name, turn)
    return [number for number, each in enumerate(shown, 1) if each in poll.leaders]


def _choice(
    brief: Brief,
    turn: int,
    step: str,
    agent: str,
    order: str,
    among: list[int] | None = None,
    *,
    agreement: bool = False,
) -> Assignment:
    """Ask for one of a round's proposals, or of those `among` them, by its number."""
    words = '"choice", "agreement" and "reason"' if agreement else '"choice" and "reason"'
    shown = _shown(brief, turn, {})
    task = _TASK.format(task=brief.description, expected=brief.expected_output)
    numbers = among or list(range(1, len(shown) + 1))
    return Assignment(
        step=step,
        kind=Kind.VERDICT,
        task=brief.name,
        agent=agent,
        description=order + task,
        expected_output=f"JSON with {words}; the choice is the number of a proposal.",
        context=(*brief.context, *shown),
        output_schema=_choice_schema(numbers, agreement=agreement),
    )


def _shown(brief: Brief, turn: int, said: dict[int, list[str]]) -> list[Told]:
    """Return a round's proposals, each with its number and what was said for it."""
    told = list[Told]()
    for number, each in enumerate(proposals(brief.definition, brief.results, brief.name, turn), 1):
        lines = [f"Proposal {number}:", each.raw]
        lines += [f"Said for proposal {number}: {reason}" for reason in said.get(number, ())]
        told.append(Told(f"proposal {number} for {brief.name}", "", "\n".join(lines)))
    return told


def _said(brief: Brief, turn: int) -> dict[int, list[str]]:
    """Return the reasons of a round's verdicts by the proposal that they are for."""
    steps = [f"{brief.name}.judge.{turn}"]
    if not judge_alone(brief.definition):
        agents = rules(brief.definition).agents
        steps = [f"{brief.name}.verdict.{turn}.{agent}" for agent in agents]
    reasons: dict[int, list[str]] = {}
    for word in (brief.results[step]["output"] for step in steps):
        reasons.setdefault(word["choice"], []).append(word["reason"])
    return reasons


def _choice_schema(numbers: list[int], *, agreement: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "choice": {"type": "integer", "enum": numbers},
        "reason": {"type": "string", "minLength": 1},
    }
    if agreement:
        properties["agreement"] = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }

"""What the agents of a consensus, and its judge, are asked."""

from typing import Any

from core.crews.crew_runner import ContextItem, Prompt, StepKind
from core.crews.definition import Definition
from core.crews.strategies.tally import count_votes, proposals, rules
from core.crews.strategies.types import TaskContext

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


def proposal(ctx: TaskContext, round_no: int, agent: str) -> Prompt:
    """Ask for an answer to the task: the first on one's own, the next with all that was said."""
    step = f"{ctx.name}.proposal.{round_no}.{agent}"
    description, context = ctx.description, ctx.context
    if round_no > 1:
        description += _ANEW
        context = (*context, *_shown(ctx, round_no - 1, _reasons(ctx, round_no - 1)))
    return ctx.prompt_for(step, StepKind.PROPOSAL, agent, description, context)


def verdict(ctx: TaskContext, round_no: int, agent: str) -> Prompt:
    """Ask an agent for its vote."""
    return _choice(ctx, round_no, f"{ctx.name}.verdict.{round_no}.{agent}", agent, _VOTE)


def judgement(ctx: TaskContext, round_no: int) -> Prompt:
    """Ask the judge for its word: on the whole round, or on votes that are tied."""
    step, name = f"{ctx.name}.judge.{round_no}", judge(ctx.definition)
    if judge_alone(ctx.definition):
        return _choice(ctx, round_no, step, name, _JUDGE + _AGREEMENT, agreement=True)
    tied = _tied(ctx, round_no)
    among = _TIED.format(numbers=" and ".join(map(str, tied)))
    return _choice(ctx, round_no, step, name, _JUDGE + among, tied)


def _tied(ctx: TaskContext, round_no: int) -> list[int]:
    shown = proposals(ctx.definition, ctx.results, ctx.name, round_no)
    tally = count_votes(ctx.definition, shown, ctx.results, ctx.name, round_no)
    return [number for number, each in enumerate(shown, 1) if each in tally.leaders]


def _choice(
    ctx: TaskContext,
    round_no: int,
    step: str,
    agent: str,
    question: str,
    among: list[int] | None = None,
    *,
    agreement: bool = False,
) -> Prompt:
    """Ask for one of a round's proposals, or of those `among` them, by its number."""
    words = '"choice", "agreement" and "reason"' if agreement else '"choice" and "reason"'
    shown = _shown(ctx, round_no, {})
    task = _TASK.format(task=ctx.description, expected=ctx.expected_output)
    numbers = among or list(range(1, len(shown) + 1))
    return Prompt(
        step=step,
        kind=StepKind.VERDICT,
        task=ctx.name,
        agent=agent,
        description=question + task,
        expected_output=f"JSON with {words}; the choice is the number of a proposal.",
        context=(*ctx.context, *shown),
        output_schema=_choice_schema(numbers, agreement=agreement),
    )


def _shown(ctx: TaskContext, round_no: int, reasons: dict[int, list[str]]) -> list[ContextItem]:
    """Return a round's proposals, each with its number and what was said for it."""
    items = list[ContextItem]()
    for number, each in enumerate(proposals(ctx.definition, ctx.results, ctx.name, round_no), 1):
        lines = [f"Proposal {number}:", each.raw]
        lines += [f"Said for proposal {number}: {reason}" for reason in reasons.get(number, ())]
        items.append(ContextItem(f"proposal {number} for {ctx.name}", "", "\n".join(lines)))
    return items


def _reasons(ctx: TaskContext, round_no: int) -> dict[int, list[str]]:
    """Return the reasons of a round's verdicts by the proposal that they are for."""
    steps = [f"{ctx.name}.judge.{round_no}"]
    if not judge_alone(ctx.definition):
        agents = rules(ctx.definition).agents
        steps = [f"{ctx.name}.verdict.{round_no}.{agent}" for agent in agents]
    reasons: dict[int, list[str]] = {}
    for word in (ctx.results[step]["output"] for step in steps):
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

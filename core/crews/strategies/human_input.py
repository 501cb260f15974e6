"""Human input: a person approves a task's answer, or says what to change and gets it again.

`write` is reviewed as the result `write.review.1`; after feedback `write.2` is written by the
agent whose answer it was, and reviewed as `write.review.2`. What the last feedback led to stands.
"""

from dataclasses import replace
from typing import Any

from core.crews.crew_runner import ContextItem, Prompt, StepKind
from core.crews.definition import Definition
from core.crews.step_ids import review_id, version_id
from core.crews.strategies.types import Results, TaskContext, TaskOutput, Wait, make_step
from core.flows import Step

ROUNDS = 5  # of feedback
_REVISE = """

A person read your draft of this, which is in the context, and wants it changed. Write it again, \
whole: do what the feedback asks and leave the rest as it is. The feedback: """
_NO_WORDS = "The draft is not approved; no reason was given."


def review_answer(approve: bool, feedback: str) -> dict[str, Any]:
    """Return the result that is kept of a person's answer."""
    return {"output": {"approve": approve, "feedback": feedback}, "raw": feedback}


def reviewed(
    definition: Definition, results: Results, task: str, draft: TaskOutput
) -> TaskOutput | Wait | tuple[Step, ...]:
    """Return what stands after the reviews so far, or what is missing for the next."""
    for review in range(1, ROUNDS + 1):
        role = definition.agents[draft.agent].role
        name = review_id(task, review)
        if name not in results:
            return Wait(name, task, role, draft.step, draft.output)
        if results[name]["output"]["approve"]:
            return draft
        again = version_id(task, review + 1)
        if again not in results:
            return (
                make_step(definition, again, definition.tasks[task].expected_output, draft.agent),
            )
        draft = _rewritten(results, draft, again)
    return draft


def prompt(ctx: TaskContext, draft: TaskOutput, version: int) -> Prompt:
    """Return the prompt to write version `version` (2, 3, ...) of a draft."""
    task = ctx.name
    if version > 2:  # noqa: PLR2004 -- version 2 is written on the draft itself
        draft = _rewritten(ctx.results, draft, version_id(task, version - 1))
    reviews = [ctx.results[review_id(task, n)]["output"] for n in range(1, version)]
    said = [review["feedback"].strip() or _NO_WORDS for review in reviews]
    role = ctx.agent(draft.agent).role
    mine = ContextItem(f"draft {version - 1} of {task}", role, f"Your draft:\n{draft.raw}")
    earlier = [
        ContextItem(
            f"feedback {n} on {task}", "A person", f"Earlier feedback, done already:\n{words}"
        )
        for n, words in enumerate(said[:-1], 1)
    ]
    return ctx.prompt_for(
        version_id(task, version),
        StepKind.TASK,
        draft.agent,
        ctx.description + _REVISE + said[-1],
        (*ctx.context, *earlier, mine),
    )


def approval_remarks(results: Results, task: str) -> list[ContextItem]:
    """Return what a person said on approving a task, for the tasks that build on it."""
    reviews = (results.get(review_id(task, n)) for n in range(1, ROUNDS + 1))
    said = [review["output"] for review in reviews if review is not None]
    remarks = [review["feedback"].strip() for review in said if review["approve"]]
    return [ContextItem(f"remarks on {task}", "A person", words) for words in remarks if words]


def _rewritten(results: Results, draft: TaskOutput, version: str) -> TaskOutput:
    answer = results[version]
    return replace(draft, step=version, output=answer["output"], raw=answer["raw"])

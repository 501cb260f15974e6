"""The offline model as planner, manager, voter, judge and checker, in the words of real prompts."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from core.adapters.crewai.environ import prepare_environ
from core.crews import strategies
from core.crews.crew_runner import ContextItem, Prompt, StepKind, StepTask
from core.crews.definition import Registry
from crews.import_mapping import skill
from infra.dry_run import dry_run
from infra.mapping_score import CREW, FILE, score, truths

prepare_environ(os.environ, os.path.expanduser("~"))  # noqa: PTH111 -- HOME stays as it is

from core.adapters.crewai.answers import instructions, read  # noqa: E402
from core.adapters.crewai.asked import RuleCheck, asked  # noqa: E402
from core.adapters.crewai.failures import UnusableAnswerError  # noqa: E402
from core.adapters.crewai.guardrails import VERDICT  # noqa: E402
from core.adapters.offline.model import OfflineModel  # noqa: E402
from core.adapters.offline.quotes import joined, quote  # noqa: E402


def ordered(
    question: StepTask | RuleCheck,
    schema: dict[str, Any],
    text: str,
    *context: str,
    goal: str = "",
) -> Any:
    """What the model answers when a runner asks for an answer that fits a schema."""
    task = f"\nCurrent Task: {text}\n\nThis is the expected criteria: {instructions(schema)}\n\n"
    system = f"You are A. B\nYour personal goal is: {goal}"
    chat: Any = [
        {"role": "system", "content": system},
        {"role": "user", "content": joined(task, list(context))},
    ]
    token = asked.set(question)
    try:
        return read(OfflineModel([skill.map_columns]).call(chat), schema)
    finally:
        asked.reset(token)


def of_step(crew: str, step: str, results: dict[str, Any], **inputs: Any) -> Any:
    """What the model answers in a step of an example crew."""
    definition = Registry(Path("crews")).get(crew)
    definition = definition.filled(definition.with_defaults(inputs))
    order = strategies.TaskGraph(definition).prompt(results, step)
    goal = definition.agents[order.agent].goal
    return ordered_by(StepTask("t", "f", definition, order, 1, inputs), goal)


def ordered_by(task: StepTask, goal: str = "") -> Any:
    order = task.prompt
    context = [told.text for told in order.context]
    return ordered(task, order.output_schema or {}, order.description, *context, goal=goal)


BRIEF = {"question": "Which ship sank?", "notes": "The ship Vasa sank. It rained."}


def said(output: Any) -> dict[str, Any]:
    return {"output": output, "raw": output if isinstance(output, str) else json.dumps(output)}


def test_it_plans_a_subtask_for_each_worker_whose_goal_is_near_the_task():
    plan = of_step("research_brief_hierarchical", "write.plan", {}, **BRIEF)
    assert [order["worker"] for order in plan["subtasks"]] == ["researcher", "analyst"]
    assert plan["subtasks"][1]["description"].startswith("As Analyst: Say which facts decide")
    profiled = {"profile": "no matter"}
    mapping = of_step("import_mapping_hierarchical", "propose.plan", worked(profiled), file=FILE)
    assert [order["worker"] for order in mapping["subtasks"]] == ["mapper", "name_reader"]


def worked(answers: dict[str, str]) -> dict[str, Any]:
    """Hierarchical tasks that are done."""
    order = {"worker": "profiler", "description": "d", "expected_output": "e"}
    results = dict[str, Any]()
    for name, text in answers.items():
        results |= {
            f"{name}.plan": said({"subtasks": [order]}),
            f"{name}.work.1.1": said(text),
            f"{name}.result.1": said({"output": text}),
        }
    return results


def test_a_manager_answers_from_its_workers_and_hands_a_single_answer_on_as_it_is():
    order = {"worker": "analyst", "description": "d", "expected_output": "e"}
    results = {
        "write.plan": said({"subtasks": [order, order]}),
        "write.work.1.1": said("The ship Vasa sank. It rained."),
        "write.work.1.2": said("The lighthouse was painted."),
    }
    answer = of_step("research_brief_hierarchical", "write.result.1", results, **BRIEF)
    assert "The ship Vasa sank." in answer["output"]
    results["write.plan"] = said({"subtasks": [order]})
    alone = of_step("research_brief_hierarchical", "write.result.1", results, **BRIEF)
    assert alone == {"output": "The ship Vasa sank. It rained."}


def test_it_votes_for_what_it_would_have_answered_itself():
    agents = ("analyst", "treasurer", "neighbour")
    texts = ("It rained.", "The ship Vasa sank.", "A lighthouse is white.")
    results = {f"write.proposal.1.{a}": said(t) for a, t in zip(agents, texts, strict=True)}
    crew = Registry(Path("crews")).get("research_brief_consensus")
    order = strategies.TaskGraph(crew.filled(BRIEF)).prompt(results, "write.verdict.1.analyst")
    vote = of_step("research_brief_consensus", "write.verdict.1.analyst", results, **BRIEF)
    assert order.context[vote["choice"] - 1].text.endswith("The ship Vasa sank.")


def test_a_judge_says_how_alike_the_proposals_are():
    schema = {
        "required": ["choice", "agreement", "reason"],
        "properties": {
            "choice": {"enum": [1, 2]},
            "agreement": {"type": "number"},
            "reason": {"type": "string"},
        },
    }
    crew = Registry(Path("crews")).get("research_brief_consensus")

    def judged(*proposals: str) -> Any:
        context = tuple(
            ContextItem(f"proposal {number} for write", "", f"Proposal {number}:\n{text}")
            for number, text in enumerate(proposals, 1)
        )
        order = Prompt("write.judge.1", StepKind.VERDICT, "write", "analyst", "Judge.", "JSON",
                       context, schema)  # fmt: skip
        return ordered_by(StepTask("t", "f", crew, order, 1, {}))

    same, other = judged('{"a": 1}', '{"a": 1}'), judged('{"a": 1}', '{"a": 2}')
    assert (same["agreement"], other["agreement"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("rule", "answer", "valid"),
    [
        ("A brief has at most 3 words.", "The Vasa sank.", True),
        ("A brief has at most 3 words.", "The ship Vasa sank.", False),
        ("No more than 1 sentence, please.", "It sank. It rained.", False),
        ("Be kind.", "No.", True),
    ],
)
def test_of_a_rule_it_checks_what_can_be_counted(rule: str, answer: str, valid: bool):
    verdict = ordered(RuleCheck(rule, answer), VERDICT, "RuleCheck it.")
    assert verdict["valid"] is valid
    assert (verdict["reason"] is None) == (valid and "at most" in rule)


def test_a_crew_of_ones_own_with_an_output_schema_gets_an_answer_that_fits():
    schema = {
        "type": "object",
        "required": ["title", "tags", "score", "mood"],
        "additionalProperties": False,
        "properties": {
            "title": {"type": "string", "maxLength": 20},
            "tags": {"type": "array", "minItems": 2, "items": {"type": "string"}},
            "score": {"type": "number", "minimum": 1, "maximum": 5},
            "mood": {"enum": ["good", "bad"]},
            "sure": {"type": ["boolean", "null"]},
            "parts": {"type": "array", "items": {"properties": {"n": {"type": "integer"}}}},
        },
    }
    crew = Registry(Path("crews")).get("research_brief_consensus")
    order = Prompt("write", StepKind.TASK, "write", "analyst", "Score it.", "JSON", (), schema)
    answer = ordered_by(StepTask("t", "f", crew, order, 1, {}))  # read, so it fits
    assert (answer["score"], answer["mood"], len(answer["tags"])) == (1, "good", 2)
    assert answer["title"].startswith("The offline model")


def test_agents_of_other_goals_quote_other_sentences():
    notes = "Which way?\n\nNotes:\nThe ferry costs money. The ferry takes hours."
    assert quote(notes, "Say what it costs").endswith("The ferry costs money.")
    assert quote(notes, "Say how many hours").endswith("The ferry takes hours.")


def test_labels_of_a_context_are_nobodys_sentence():
    told = "Proposal 1:\nThe ship sank.\nSaid for proposal 1: the ship is a good choice"
    assert quote(joined("Which ship?", [told])).endswith(": The ship sank.")


@pytest.mark.parametrize(
    ("crew", "steps"), [("import_mapping_hierarchical", 7), ("import_mapping_consensus", 6)]
)
async def test_the_other_crews_map_a_real_file_too(crew: str, steps: int):
    data = (CREW / "examples" / "us_va_grayson.csv").read_bytes()
    results, output = await dry_run(crew, {"file": FILE}, {FILE: data})
    mapping = output.get("answer", output)["columns"]
    assert score(mapping, truths()["us_va_grayson.csv"]).f1 == 1
    assert len(results) == steps


@pytest.mark.parametrize(
    ("crew", "last"),
    [
        ("research_brief_hierarchical", "write.result.1"),
        ("research_brief_consensus", "write.verdict.1.neighbour"),
        ("research_brief_approved", "write.review.1"),
    ],
)
async def test_the_other_briefs_say_what_the_notes_say(crew: str, last: str):
    ferry = json.loads(Path("crews/research_brief/examples/ferry.json").read_text("utf-8"))
    results, output = await dry_run(crew, ferry, {})
    text = output if isinstance(output, str) else output["answer"]
    said_so = text.partition(": ")[2].replace(". ", ".\n").splitlines()
    assert said_so
    assert all(sentence in ferry["notes"] for sentence in said_so)
    assert next(reversed(results)) == last


@pytest.mark.parametrize("reason", ["it took longer than 1 s", "Field required"])
async def test_the_words_of_a_tool_that_failed_are_never_an_answer(reason: str):
    chat = [
        {"role": "user", "content": "Use reads."},
        {"role": "tool", "content": f"Error: {reason}"},
    ]
    with pytest.raises(
        UnusableAnswerError, match=f"cannot go on without its tool: Error: {reason}"
    ):
        OfflineModel().call(chat)

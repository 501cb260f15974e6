"""A correction of a mapping holds for every later delivery, until somebody says otherwise."""

from collections.abc import Sequence

import pytest

from benchmarks.mapping_lessons import TENANT, File, feedback, read
from core.adapters.memory.learners import memory_learners
from core.crews.lessons import lessons_of
from core.learning.feedback import Feedback
from core.learning.patterns import Kind
from core.learning.serving import Learners
from crews.import_mapping import column_decisions
from infra.mapping_score import CREW, default_target, truths

SOURCE = "is_stadfang.dsv"
WRONG = {"BOKST", "SERHEITI"}  # without lessons
MEMORY = column_decisions.memory({"target": default_target()})


def source() -> File:
    return read(CREW / "examples" / SOURCE, default_target(), truths()[SOURCE])


async def delivered(
    learners: Learners, file: File, number: int, people: Sequence[str] = ()
) -> set[str]:
    """Map the file, learn what the agent decided, then what people correct; return what was wrong."""
    told = await lessons_of(learners, TENANT, column_decisions, MEMORY, file.decisions)
    entries = file.mapped([each.text for each in told])
    words = list(feedback(file, entries, number))
    own = [one for one in words if one.kind is Kind.AGENT]
    corrections = [one for one in words if one.kind is Kind.USER]
    by_all = [
        Feedback(f"{one.id}/{name}", one.context, one.action, name)
        for name in people
        for one in corrections
    ]
    await learners.learn(TENANT, MEMORY, own + by_all)
    return file.wrong(entries)


@pytest.mark.parametrize("people", [("ana",), ("ana", "ben", "cy")])
async def test_what_was_corrected_once_is_right_in_each_of_five_later_deliveries(
    people: tuple[str, ...],
):
    learners, file = memory_learners(), source()
    assert await delivered(learners, file, 0, people) == WRONG
    later = [await delivered(learners, file, number) for number in range(1, 6)]
    assert later == [set()] * 5


async def test_who_corrects_a_correction_is_followed_from_then_on():
    learners, file = memory_learners(), source()
    await delivered(learners, file, 0, ("ana",))
    await delivered(learners, file, 1)
    decision = next(each for each in file.decisions if each.about == "BOKST")
    said = Feedback("again", decision.context, column_decisions.NOTHING, "ben")
    await learners.learn(TENANT, MEMORY, [said])
    later = [await delivered(learners, file, number) for number in (2, 3, 4)]
    assert later == [{"BOKST"}] * 3  # which ben says is none, whatever the file's truth is

"""How many tasks a tenant has: in memory and over Redis."""

import pytest

from core.errors import ConflictError
from core.learning import feedback as limits
from core.learning.patterns import Kind
from tests.contract.feedback_parts import TASK, Log, T, given, log

__all__ = ["log"]  # fixtures


async def test_of_tasks_in_all_there_is_a_bound_and_one_that_is_forgotten_frees_its_place(
    log: Log, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "MOST_LISTED", 2)
    for task in (TASK, "other"):
        await log.port.add(T, task, given("a"))
        await log.port.trim(T, task, 1)
    await log.port.add("u", "third", given("a"))
    for step in (log.port.unlist(T, TASK), log.port.forget(T, "none", None)):  # neither frees any
        await step
        with pytest.raises(ConflictError, match="forgotten first"):
            await log.port.add(T, "third", given("b"))
    await log.port.add(T, TASK, given("b"))
    await log.port.forget(T, TASK, None)
    assert await log.port.tasks(T) == ["other", TASK]  # its objects are there still
    await log.port.unlist(T, TASK)
    assert await log.port.tasks(T) == ["other"]
    await log.port.add(T, "third", given("b"))
    assert await log.port.tasks(T) == ["other", "third"]
    with pytest.raises(ConflictError):
        await log.port.add(T, TASK, given("c"))


async def test_a_task_of_which_something_is_said_while_it_is_forgotten_keeps_its_place(log: Log):
    await log.port.add(T, TASK, given("a"))
    await log.port.forget(T, TASK, None)
    await log.port.add(T, TASK, given("b"))
    await log.port.trim(T, TASK, 3)
    await log.port.unlist(T, TASK)
    assert await log.port.tasks(T) == [TASK]


async def test_a_task_that_a_retraining_trims_while_it_is_forgotten_frees_its_place(log: Log):
    await log.port.add(T, TASK, given("a"))
    await log.port.forget(T, TASK, None)
    await log.port.trim(T, TASK, 2)
    await log.port.unlist(T, TASK)
    assert await log.port.tasks(T) == []


@pytest.mark.parametrize("name", ["MOST_TASKS", "MOST_LISTED"])
async def test_what_agents_say_begins_half_of_the_tasks_so_that_people_can_begin_others(
    log: Log, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setattr(limits, name, 4)
    for number in range(2):
        await log.port.add(T, f"columns-{number}", given("a", kind=Kind.AGENT))
    with pytest.raises(ConflictError):
        await log.port.add(T, "columns-2", given("a", kind=Kind.AGENT))
    await log.port.add(T, "columns-0", given("b", kind=Kind.AGENT))
    await log.port.add(T, "columns-2", given("a"))
    await log.port.add(T, "columns-2", given("b", kind=Kind.AGENT))


@pytest.mark.parametrize(
    ("name", "most"), [("MOST_WAITING", 2), ("MOST_WAITING_BYTES", 700), ("MOST_TASKS", 2)]
)
async def test_of_what_is_said_of_several_tasks_at_once_all_is_kept_or_nothing(
    log: Log, monkeypatch: pytest.MonkeyPatch, name: str, most: int
):
    await log.port.add(T, TASK, given("a"))
    of_tasks = {"first": given("a"), TASK: given("a", "b"), "last": given("a", "b", "c")}
    batch = [(task, one) for task, some in of_tasks.items() for one in some]
    with monkeypatch.context() as bounded:
        bounded.setattr(limits, name, most)
        with pytest.raises(ConflictError, match="task last"):
            await log.port.add_all(T, batch)
    assert await log.port.tasks(T) == [TASK]
    assert (await log.numbers("first"), await log.numbers()) == ([], [(1, "a")])
    assert await log.port.add_all(T, batch) == ["new", "known", "new", "new", "new", "new"]
    assert await log.port.tasks(T) == ["first", "last", TASK]
    assert await log.numbers("last") == [(1, "a"), (2, "b"), (3, "c")]
    assert await log.port.add_all(T, batch) == ["known"] * 6
    assert await log.numbers() == [(1, "a"), (2, "b")]


async def test_what_became_of_feedback_of_several_tasks_is_told_in_its_order(log: Log):
    (a,), (b,), (c,) = given("a"), given("b"), given("c", subject="bob")
    await log.port.add(T, TASK, [b])
    batch = [(TASK, a), ("other", a), (TASK, b), ("other", a), (TASK, c), ("other", c)]
    assert await log.port.add_all(T, batch) == ["new", "new", "known", "known", "new", "new"]
    assert await log.numbers() == [(1, "b"), (2, "a"), (3, "c")]
    assert await log.numbers("other") == [(1, "a"), (2, "c")]

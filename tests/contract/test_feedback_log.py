"""What every FeedbackLog does: in memory and over Redis."""

from typing import Any

import pytest

from core.adapters.upstash.feedback import UpstashFeedbackLog
from core.adapters.upstash.script_keys import FeedbackKeys, feedback_ids
from core.errors import ConflictError
from core.learning import feedback as limits
from core.learning.feedback import Feedback
from core.learning.patterns import Kind
from core.time_of_day import now_ms
from tests.contract.feedback_parts import TASK, Log, T, given, log

__all__ = ["log"]  # fixtures


async def test_feedback_is_read_back_as_it_was_given_under_numbers_without_a_gap(log: Log):
    some = given("a", "b", right=False, confidence=0.5, at_ms=17)
    assert await log.port.add(T, TASK, some) == ["new", "new"]
    await log.port.add(T, TASK, given("c"))
    found = await log.port.after(T, TASK, 0, 10)
    assert [one.number for one in found] == [1, 2, 3]
    assert [one.feedback for one in found[:2]] == some
    assert await log.numbers(after=2) == [(3, "c")]
    assert [one.number for one in await log.port.after(T, TASK, 0, 2)] == [1, 2]


async def test_an_id_counts_once_however_often_it_is_sent(log: Log):
    await log.port.add(T, TASK, given("a", "b"))
    assert await log.port.add(T, TASK, given("a", "c", "b")) == ["known", "new", "known"]
    assert await log.port.add(T, TASK, given("a", "c", "b")) == ["known"] * 3
    assert await log.numbers() == [(1, "a"), (2, "b"), (3, "c")]
    await log.port.trim(T, TASK, 3)
    assert await log.port.add(T, TASK, given("a", at_ms=99)) == ["known"]  # said again later


async def test_ten_thousand_words_are_one_batch(log: Log):
    """Thumbs for four hundred files of twenty-five columns."""
    given_ids = [f"a{n}" for n in range(10_000)]
    assert set(await log.port.add(T, TASK, given(*given_ids[:9_000]))) == {"new"}
    fates = await log.port.add(T, TASK, given(*given_ids))
    assert fates == ["known"] * 9_000 + ["new"] * 1_000


async def test_an_id_that_is_twice_in_one_batch_counts_once(log: Log):
    assert await log.port.add(T, TASK, given("a", "a")) == ["new", "known"]
    assert await log.numbers() == [(1, "a")]


@pytest.mark.parametrize("other", [{"right": False}, {"confidence": 0.5}, {"kind": Kind.AGENT}])
async def test_an_id_that_comes_again_for_something_else_is_a_conflict_and_the_first_counts(
    log: Log, other: dict[str, Any]
):
    both = [*given("a"), *given("a", **other)]
    assert await log.port.add(T, TASK, both) == ["new", "conflict"]
    assert await log.port.add(T, TASK, given("a", **other)) == ["conflict"]
    assert await log.port.add(T, TASK, given("a")) == ["known"]
    (kept,) = await log.port.after(T, TASK, 0, 10)
    assert [kept.feedback] == given("a")


async def test_the_order_of_names_in_a_context_makes_it_no_other(log: Log):
    one = Feedback("a", {"m": 1, "n": {"x": 1, "y": 2}}, "pay", "ana")
    same = Feedback("a", {"n": {"y": 2, "x": 1}, "m": 1}, "pay", "ana")
    assert await log.port.add(T, TASK, [one, same]) == ["new", "known"]


async def test_what_one_subject_calls_its_feedback_shuts_out_nobody_elses(log: Log):
    await log.port.add(T, TASK, given("order-1", subject="bob", confidence=0.1))
    assert await log.port.add(T, TASK, given("order-1", "order-1")) == ["new", "known"]
    both = [*given("2"), *given("2", subject="bob"), *given("order-1", subject="bob:x")]
    assert await log.port.add(T, TASK, both) == ["new"] * 3
    assert [number for number, _ in await log.numbers()] == [1, 2, 3, 4, 5]


async def test_tasks_and_tenants_know_nothing_of_each_other(log: Log):
    await log.port.add(T, TASK, given("a"))
    await log.port.add(T, "other", given("a", "b"))
    await log.port.add("u", TASK, given("a"))
    assert await log.numbers() == [(1, "a")]
    assert await log.numbers("other") == [(1, "a"), (2, "b")]
    assert await log.port.tasks(T) == ["other", TASK]
    assert await log.port.tasks("v") == []


async def test_what_is_trimmed_is_gone_and_its_numbers_never_come_again(log: Log):
    await log.port.add(T, TASK, given("a", "b", "c"))
    await log.port.trim(T, TASK, 2)
    assert await log.numbers() == [(3, "c")]
    await log.port.trim(T, TASK, 3)
    await log.port.add(T, TASK, given("d"))
    assert await log.numbers() == [(4, "d")]


async def test_what_a_subject_said_is_taken_away_at_once_and_readers_see_that_it_was(log: Log):
    for number in range(3):
        await log.port.add(T, TASK, given(f"a{number}", f"b{number}"))
    await log.port.add(T, TASK, given("mine", subject="bob"))
    await log.port.forget(T, TASK, "ana")
    assert await log.numbers() == [(7, "mine"), (8, None)]
    assert await log.port.to_forget(T, TASK) == {"ana": 8}
    await log.port.forgotten(T, TASK, {"ana": 8})
    assert await log.port.to_forget(T, TASK) == {}
    assert await log.numbers() == [(7, "mine"), (8, None), (9, None)]


async def test_a_subject_that_is_to_be_forgotten_anew_stays_to_be_forgotten(log: Log):
    await log.port.forget(T, TASK, "ana")
    await log.port.forget(T, TASK, "bob")
    before = await log.port.to_forget(T, TASK)  # a retraining begins
    await log.port.add(T, TASK, given("a"))
    await log.port.forget(T, TASK, "ana")
    await log.port.forgotten(T, TASK, before)  # it ends
    assert (before, await log.port.to_forget(T, TASK)) == ({"ana": 1, "bob": 2}, {"ana": 4})


@pytest.mark.parametrize("subject", ["ana", None])
async def test_what_was_forgotten_is_said_again_under_the_same_id(log: Log, subject: str | None):
    agents = given("d", subject="mapper", kind=Kind.AGENT, launched_by="ana")
    said = [*given("a", "b"), *agents]
    await log.port.add(T, TASK, said)
    await log.port.add(T, TASK, given("b", subject="bob"))
    await log.port.add(T, "other", given("a"))
    await log.port.trim(T, TASK, 3)
    await log.port.forget(T, TASK, subject)
    assert await log.port.add(T, TASK, said) == ["new"] * 3
    assert await log.port.add(T, TASK, said) == ["known"] * 3
    others = await log.port.add(T, TASK, given("b", subject="bob"))
    assert others == ["new" if subject is None else "known"]
    assert await log.port.add(T, "other", given("a")) == ["known"]


async def test_what_agents_decided_in_a_subjects_flows_is_taken_away_with_the_subject(log: Log):
    await log.port.add(T, TASK, given("a", subject="mapper", kind=Kind.AGENT, launched_by="ana"))
    await log.port.add(T, TASK, given("b", subject="mapper", kind=Kind.AGENT, launched_by="bob"))
    await log.port.forget(T, TASK, "ana")
    assert await log.numbers() == [(2, "b"), (3, None)]


async def test_all_of_a_long_log_is_taken_away(log: Log):
    for start in range(0, 1200, 400):
        await log.port.add(T, TASK, given(*(f"a{n}" for n in range(start, start + 400))))
    await log.port.forget(T, TASK, None)
    assert await log.numbers() == [(1201, None)]


async def test_the_floor_rises_and_never_falls(log: Log):
    assert await log.port.floor(T, TASK) == 0
    for sequence in (3, 2, 1):
        await log.port.raise_floor(T, TASK, sequence)
    assert await log.port.floor(T, TASK) == 3
    assert await log.port.floor(T, "other") == 0


@pytest.mark.parametrize(
    ("name", "most", "fits"),
    [("MOST_WAITING", 3, 3), ("MOST_WAITING_BYTES", 600, 3), ("MOST_TASKS", 1, 1)],
)
async def test_more_than_is_kept_is_refused_whole_and_room_comes_again(
    log: Log, monkeypatch: pytest.MonkeyPatch, name: str, most: int, fits: int
):
    monkeypatch.setattr(limits, name, most)
    for number in range(fits):
        await log.port.add(T, TASK, given(f"a{number}"))
    other = "other" if name == "MOST_TASKS" else TASK
    with pytest.raises(ConflictError):
        await log.port.add(T, other, given("b", "c"))
    assert await log.port.add(T, TASK, given("a0")) == ["known"]
    assert len(await log.numbers()) == fits
    await log.port.trim(T, TASK, fits)
    assert await log.port.add(T, other, given("b", "c")) == ["new", "new"]


async def test_what_agents_say_fills_half_so_that_people_are_still_heard(
    log: Log, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "MOST_WAITING", 6)
    await log.port.add(T, TASK, given("a", "b", "c", kind=Kind.AGENT))
    with pytest.raises(ConflictError):
        await log.port.add(T, TASK, given("d", kind=Kind.AGENT))
    await log.port.add(T, TASK, given("e", "f"))
    await log.port.add(T, TASK, [*given("g", kind=Kind.USER)])
    with pytest.raises(ConflictError):
        await log.port.add(T, TASK, given("h"))


async def test_two_whose_clocks_differ_keep_it_once_where_the_days_of_ids_end(log: Log):
    if log.redis is None or log.keys is None:
        return
    end_ms = (now_ms() // (32 * 86_400_000) + 1) * 32 * 86_400_000
    for off_ms, fate in ((100, "new"), (-500, "known")):
        port = UpstashFeedbackLog(log.redis, log.keys, now_ms=lambda off_ms=off_ms: end_ms + off_ms)
        assert await port.add(T, TASK, given("a")) == [fate]
        assert await port.forget(T, TASK, "bob") is None


async def test_nothing_of_it_has_a_time_to_live_but_the_ids(log: Log):
    if log.redis is None or log.keys is None:
        return
    await log.port.add(T, TASK, given("a"))
    await log.port.forget(T, TASK, "bob")
    await log.port.raise_floor(T, TASK, 1)
    before, now = feedback_ids(log.keys, T, TASK, "ana", now_ms())
    lasting = FeedbackKeys.of(log.keys, T, TASK)
    for key in (
        lasting.tasks,
        lasting.listed,
        lasting.feedback,
        lasting.forgotten,
        lasting.learning,
        lasting.learning_index,
    ):
        assert await log.redis.execute(["TTL", key]) == -1
    assert await log.redis.execute(["TTL", now]) > 60 * 86400
    assert await log.redis.execute(["TTL", before]) == -2
    await log.port.forget(T, TASK, "ana")
    assert await log.redis.execute(["TTL", now]) == -2

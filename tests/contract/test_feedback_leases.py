"""Which task a FeedbackLog leases to whom, and when: in memory and over Redis."""

import asyncio

from core.learning.feedback import Lease
from tests.contract.feedback_parts import TASK, Log, T, given, log

__all__ = ["log"]  # fixtures


HOUR_MS = 3_600_000


async def leased(log: Log, lease_ms: int = HOUR_MS, delay_ms: int = 0) -> Lease | None:
    found = await log.port.lease(lease_ms, delay_ms)
    assert found is None or (found.tenant, found.task) == (T, TASK)
    return found


async def test_a_task_with_new_feedback_is_leased_by_one_until_it_is_released(log: Log):
    assert await leased(log) is None
    await log.port.add(T, TASK, given("a"))
    lease = await leased(log)
    assert lease
    assert await leased(log) is None
    await log.port.trim(T, TASK, 1)
    await log.port.add(T, TASK, given("b"))
    assert await leased(log) is None  # it runs still
    await log.port.release(lease)
    again = await leased(log)
    assert again
    await log.port.trim(T, TASK, 2)
    await log.port.release(again)
    assert await leased(log) is None


async def test_a_lease_that_ends_is_had_by_the_next(log: Log):
    await log.port.add(T, TASK, given("a"))
    assert await leased(log, 0)
    await log.port.trim(T, TASK, 1)  # and then it was killed
    assert await leased(log)


async def test_who_has_slept_past_his_lease_releases_nobody_elses(log: Log):
    await log.port.add(T, TASK, given("a"))
    slept = await leased(log, 0)
    running = await leased(log)
    assert slept
    assert running
    await log.port.trim(T, TASK, 1)
    for _ in range(2):
        await log.port.release(slept)
    await log.port.add(T, TASK, given("b"))
    assert await leased(log) is None
    await log.port.release(running)
    assert await leased(log)


async def test_tenants_take_turns_however_many_tasks_one_of_them_has(log: Log):
    for number in range(120):
        await log.port.add("a-many", f"task-{number}", given("a"))
    for tenant in ("b-few", "c-other"):
        for number in range(2):
            await log.port.add(tenant, f"task-{number}", given("a"))
    found = [await log.port.lease(HOUR_MS, 0) for _ in range(125)]
    assert [one and one.tenant for one in found[:6]] == ["a-many", "b-few", "c-other"] * 2
    assert len({(one.tenant, one.task) for one in found if one}) == 124
    assert found[-1] is None


async def test_a_tenant_whose_feedback_is_too_new_holds_up_nobody(log: Log):
    await log.port.add("old", TASK, given("a"))
    await log.port.forget("old", TASK, "bob")  # due at once
    for number in range(150):
        await log.port.add(f"new-{number}", TASK, given("a"))
    found = await log.port.lease(HOUR_MS, HOUR_MS)
    assert (found and found.tenant, await log.port.lease(HOUR_MS, HOUR_MS)) == ("old", None)


async def test_feedback_waits_for_more_and_is_leased_when_it_has_waited(log: Log):
    await log.port.add(T, TASK, given("a"))
    assert await leased(log, HOUR_MS, 300) is None
    await asyncio.sleep(0.35)
    assert await leased(log, HOUR_MS, 300)


async def test_a_task_that_is_to_forget_is_leased_at_once(log: Log):
    await log.port.add(T, TASK, given("a"))
    await log.port.forget(T, TASK, "ana")
    assert await leased(log, HOUR_MS, HOUR_MS)


async def test_a_task_that_is_to_forget_is_left_to_who_retrains_it_and_due_at_once_when_he_ends(
    log: Log,
):
    await log.port.add(T, TASK, given("a"))
    lease = await leased(log)
    assert lease
    await log.port.forget(T, TASK, "ana")
    await log.port.trim(T, TASK, 2)
    assert await leased(log) is None
    await log.port.release(lease)
    assert await leased(log, HOUR_MS, HOUR_MS)

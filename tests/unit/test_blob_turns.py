"""Uploads are stored in turn, so that those of one tenant leave room for all else."""

import asyncio
import threading
from collections import Counter

import pytest

from core import blobs
from core.adapters.memory import MemoryBlobs
from core.blobs import PUTS_AT_ONCE, put_in_turn
from core.errors import UnavailableError


class Slow(MemoryBlobs):
    """A store that takes its time, and knows how much of each tenant it stored at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most = Counter[str](), Counter[str]()
        self.free, self._lock = threading.Event(), threading.Lock()

    def put(self, tenant: str, blob: str, data: bytes, content_type: str) -> None:
        with self._lock:
            self.now[tenant] += 1
            self.most[tenant] = max(self.most[tenant], self.now[tenant])
        self.free.wait(0.05)
        super().put(tenant, blob, data, content_type)
        with self._lock:
            self.now[tenant] -= 1


async def put(store: Slow, tenant: str, number: int) -> None:
    await put_in_turn(store, tenant, f"in_{number}", b"data", "text/csv")


async def test_so_many_of_a_tenant_are_stored_at_once_and_all_in_the_end():
    store = Slow()
    await asyncio.gather(*(put(store, "loud", number) for number in range(10)))
    assert store.most["loud"] == PUTS_AT_ONCE
    assert all(store.size("loud", f"in_{number}") == 4 for number in range(10))
    assert not blobs._putting  # nothing is left of a tenant that has none


async def test_another_tenant_does_not_wait_for_them():
    store = Slow()
    loud = [asyncio.create_task(put(store, "loud", number)) for number in range(20)]
    await asyncio.sleep(0)
    await put(store, "quiet", 0)
    assert sum(task.done() for task in loud) <= 2 * PUTS_AT_ONCE
    await asyncio.gather(*loud)


async def test_who_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blobs, "TOTAL_SECONDS", 0.02)
    store = Slow()
    told = await asyncio.gather(
        *(put(store, "loud", number) for number in range(3)), return_exceptions=True
    )
    assert all(isinstance(error, UnavailableError) for error in told)

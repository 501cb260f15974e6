"""Threads: one for each running step.

A step waits for its model most of the time, and a pool that is full of waiting steps would keep
others from being begun. The thread is a daemon: a process that ends does not wait for a model.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Lock, Thread
from typing import TypeVar

T = TypeVar("T")


def in_thread(name: str, function: Callable[[], T]) -> Future[T]:
    """Call the function in a thread of its own, with a copy of this context's variables."""
    outcome, context = Future[T](), copy_context()

    def work() -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            outcome.set_result(context.run(function))
        except BaseException as error:  # noqa: BLE001 -- it is raised where the outcome is asked for
            outcome.set_exception(error)

    Thread(target=work, name=name, daemon=True).start()
    return outcome


class FlowThreads:
    """Threads of flows, counted until they end: one that nobody waits for any more is still at work."""

    def __init__(self) -> None:
        self._at_work = Counter[tuple[str, str]]()
        self._lock = Lock()

    def start(self, tenant: str, flow: str, name: str, function: Callable[[], T]) -> Future[T]:
        """Call the function as `in_thread` does, for a flow."""
        outcome = in_thread(name, function)
        self._count(tenant, flow, 1)
        outcome.add_done_callback(lambda _: self._count(tenant, flow, -1))
        return outcome

    def is_at_work(self, tenant: str, flow: str) -> bool:
        """Tell whether a thread of this flow has not ended."""
        return (tenant, flow) in self._at_work

    def _count(self, tenant: str, flow: str, change: int) -> None:
        with self._lock:
            self._at_work[tenant, flow] += change
            if not self._at_work[tenant, flow]:
                del self._at_work[tenant, flow]

"""Threads: one for each running step.

A step waits for its model most of the time, and a pool that is full of waiting steps would keep
others from being begun. The thread is a daemon: a process that ends does not wait for a model.
"""

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from threading import Thread
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

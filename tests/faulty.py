"""Single faults of `rough_network` by name, for tests of what must survive one of them."""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from tests.rough_network import Verdict, rough_network

Fault = Callable[[], str]
NAMED: dict[str, Verdict] = {
    "pass": ("", False),
    "drop": ("close", True),  # executed, and the reply lost
    "refuse": ("close", False),  # not executed
    "500": ("500", False),
    "503": ("503", False),
}


def a_share_dropped(share: float, seed: int) -> Fault:
    """Lose this share of the replies after the command was executed."""
    rng = random.Random(seed)
    return lambda: "drop" if rng.random() < share else "pass"


def faulty(url: str, fault: Fault) -> AbstractAsyncContextManager[str]:
    """Yield the URL of a proxy to `url` that asks `fault` what to do with each request."""
    return rough_network(url, lambda: NAMED[fault()])

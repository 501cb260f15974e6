"""Providers: functions that make one part of a process, once, and that tests put others in place of."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, TypeVar

T = TypeVar("T")
_providers: set[str] = set()
_replaced: dict[str, Any] = {}


def provider(make: Callable[[], T]) -> Callable[[], T]:
    """Run `make` once per process, unless `replace` has put another part in its place."""
    cached = cache(make)
    _providers.add(make.__name__)

    @wraps(make)
    def provide() -> T:
        return _replaced[make.__name__] if make.__name__ in _replaced else cached()

    return provide


@contextmanager
def replace(**parts: Any) -> Generator[None]:
    """Put other parts in the place of providers, by name, for the length of a test.

    Raises TypeError for a name that no provider has.
    """
    if unknown := parts.keys() - _providers:
        raise TypeError(f"no provider is called {', '.join(sorted(unknown))}")
    before = dict(_replaced)
    _replaced.update(parts)
    try:
        yield
    finally:
        _replaced.clear()
        _replaced.update(before)

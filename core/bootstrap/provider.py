"""Providers: functions that make one part of a process, once, and that tests put others in place of."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, TypeVar

T = TypeVar("T")
_providers: dict[str, Callable[[], bool]] = {}  # whether each has made its part
_replaced: dict[str, Any] = {}


def provider(make: Callable[[], T]) -> Callable[[], T]:
    """Run `make` once per process, unless `replace` has put another part in its place."""
    cached = cache(make)
    _providers[make.__name__] = lambda: cached.cache_info().currsize > 0

    @wraps(make)
    def provide() -> T:
        return _replaced[make.__name__] if make.__name__ in _replaced else cached()

    return provide


def is_made(name: str) -> bool:
    """Tell whether the part of a provider is there, so that asking for it takes no time."""
    return name in _replaced or _providers[name]()


@contextmanager
def replace(**parts: Any) -> Generator[None]:
    """Put other parts in the place of providers, by name, for the length of a test.

    Raises TypeError for a name that no provider has.
    """
    if unknown := parts.keys() - _providers.keys():
        raise TypeError(f"no provider is called {', '.join(sorted(unknown))}")
    before = dict(_replaced)
    _replaced.update(parts)
    try:
        yield
    finally:
        _replaced.clear()
        _replaced.update(before)

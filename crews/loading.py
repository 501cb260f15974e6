"""Loading what the allow-lists name."""

import os
import traceback
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any


class AllowListError(Exception):
    """An entry of `crews/allow_list.py` names nothing that can be called; says which, and why."""


def load(name: str, address: str) -> Callable[..., Any]:
    """Return the function at `module:name`. Raises AllowListError."""
    try:
        found = resolve_name(address)
    except Exception as error:  # whatever the code of a tool raises when it is imported
        complaint = f"{address} cannot be loaded: {_place(error)}{type(error).__name__}: {error}"
        raise AllowListError(f"crews/allow_list.py: {name}: {complaint}") from error
    if not callable(found):
        raise AllowListError(f"crews/allow_list.py: {name}: {address} is no function")
    return found


def load_all(addresses: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    """Return all functions of an allow-list by name. Raises AllowListError for the first it lacks."""
    return {name: load(name, address) for name, address in addresses.items()}


def _place(error: Exception) -> str:
    """Return `file:line ` of the code that is wrong; empty where it is the address itself."""
    if isinstance(error, SyntaxError):
        return f"{os.path.relpath(error.filename or '?')}:{error.lineno} "
    frame = traceback.extract_tb(error.__traceback__)[-1]
    outside = frame.filename.startswith("<") or frame.filename.endswith("pkgutil.py")
    return "" if outside else f"{os.path.relpath(frame.filename)}:{frame.lineno} "

"""Runs a bundle's function on the host's Python, with nothing of this repository but the bundle.

`python bundle_process.py invoke FUNCTION EVENT_JSON` prints what its handler answers.
`python bundle_process.py make FUNCTION` makes all that it asks the composition root for, and prints
what cannot be made: what is imported only there has to be in the bundle, too.
"""

import importlib
import inspect
import json
import re
import sys


class Context(str):
    """How long the invocation has, as Lambda tells it; or the name of a model, where that is asked for."""

    __slots__ = ()

    def get_remaining_time_in_millis(self) -> int:
        """Return five minutes."""
        return 300_000

    def seconds_left(self) -> float:
        """Return the same, as our clocks do."""
        return 300.0


def make_all() -> list[str]:
    """Call each provider that a loaded module of `functions` names; return those that lack something."""
    lacking = list[str]()
    loaded = [module for name, module in sys.modules.items() if name.startswith("functions.")]
    named = {
        name for one in loaded for name in re.findall(r"\bbootstrap\.(\w+)", inspect.getsource(one))
    }
    bootstrap = importlib.import_module("core.bootstrap")
    asked = sorted(named & set(bootstrap.__all__) - {"is_made", "replace"})
    if "settings" not in asked:
        sys.exit("nothing was asked for")
    for name in asked:
        provide = getattr(bootstrap, name)
        try:
            provide(*(Context() for _ in inspect.signature(provide).parameters))
        except ImportError as error:
            print(name, error, file=sys.stderr)
            lacking.append(name)
    return lacking


if __name__ == "__main__":
    order, function, *event = sys.argv[1:]
    module = importlib.import_module(f"functions.{function}")
    if order == "make":
        print(json.dumps(make_all()))
    else:
        print(json.dumps(module.handler(json.loads(event[0]), Context())))

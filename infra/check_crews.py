"""Checks all crews of this deployment: `python -m infra.check_crews`.

Prints each mistake with file and line and exits with 1 if there is one. Loads every tool and
guardrail of the allow-lists, as a worker does, and needs no settings.
"""

import sys
from collections.abc import Callable, Iterator, Mapping

from core import bootstrap
from crews import allow_list
from crews.loading import AllowListError, load, load_decider, load_tool

FILES_ONLY = "--files-only"  # loads nothing that the files name


def mistakes() -> Iterator[str]:
    """Yield what is wrong with the crews' files."""
    yield from map(str, bootstrap.registry().read_all()[1])


def unloadable(
    addresses: Mapping[str, str], load: Callable[[str, str], object] = load
) -> Iterator[str]:
    """Yield what on an allow-list is not there, or cannot be called."""
    for name, address in addresses.items():
        try:
            load(name, address)
        except AllowListError as error:
            yield str(error)


def main() -> int:
    """Print what is wrong; return the exit code."""
    wrong = list(mistakes())
    if FILES_ONLY not in sys.argv:
        wrong += [*unloadable(allow_list.TOOLS, load_tool), *unloadable(allow_list.GUARDRAILS)]
        wrong += unloadable(allow_list.DECIDERS, load_decider)
    for line in wrong:
        print(f"crewline: {line}", file=sys.stderr)
    if not wrong:
        print(f"{len(bootstrap.registry().names())} crews are well written")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

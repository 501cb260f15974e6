"""The allow-lists of this deployment: their names, and whether what they name can be loaded."""

from collections.abc import Callable, Iterator, Mapping

from crews import allow_list
from crews.loading import AllowListError, load, load_decider, load_tool
from infra.crews.file_rules import AllowList

ALLOWED = AllowList(
    allow_list.TOOLS.keys(), allow_list.GUARDRAILS.keys(), allow_list.DECIDERS.keys()
)


def unloadable(
    addresses: Mapping[str, str], load: Callable[[str, str], object] = load
) -> Iterator[str]:
    """Yield what on an allow-list is not there, or cannot be called."""
    for name, address in addresses.items():
        try:
            load(name, address)
        except AllowListError as error:
            yield str(error)


def all_unloadable() -> Iterator[str]:
    """Yield what is wrong on any of the lists, as a worker would find it when it starts."""
    yield from unloadable(allow_list.TOOLS, load_tool)
    yield from unloadable(allow_list.GUARDRAILS)
    yield from unloadable(allow_list.DECIDERS, load_decider)

"""The allow-lists of this deployment: their names, and whether what they name can be loaded."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from core.crews.definition import Definition
from crews import allow_list
from crews.loading import AllowListError, load, load_decider, load_project_tool, load_tool
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


def all_unloadable(crews: Iterable[Definition] = ()) -> Iterator[str]:
    """Yield what is wrong on any of the lists, or with tools of projects, as a worker would find it."""
    addresses = {each for crew in crews for each in crew.project_tools()}
    own = {each: each for each in sorted(addresses)}
    yield from unloadable(own, lambda _, address: load_project_tool(address))
    yield from unloadable(allow_list.TOOLS, load_tool)
    yield from unloadable(allow_list.GUARDRAILS)
    yield from unloadable(allow_list.DECIDERS, load_decider)

"""The deciders of the allow-list, loaded: modules that say what crews decide."""

from typing import Any

from crews import allow_list
from crews.loading import load_decider

DECIDERS: dict[str, Any] = {
    name: load_decider(name, address) for name, address in allow_list.DECIDERS.items()
}

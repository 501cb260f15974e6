"""JSON objects in a prompt's text, as a model would find them."""

import json
import re
from collections.abc import Iterator
from typing import Any

IN_VAIN, LEAST = 4, 100_000  # characters that may be read in vain: times the text, and besides
ATTEMPT = 64  # characters that a try counts as
_OBJECT = re.compile(r'\{\s*["}]')


def json_objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in the text, in order, those inside another left out.

    Where an object breaks off, those inside it are looked for. Each may break off at the same place,
    so what was read in vain is counted: beyond a few times the text no more are looked for.
    """
    decoder, begin, in_vain = json.JSONDecoder(), _OBJECT.search(text), LEAST + IN_VAIN * len(text)
    while begin and in_vain >= 0:
        at = begin.start()
        try:
            found, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            in_vain -= error.pos - at + ATTEMPT
            end = at + 1
        except RecursionError:  # it is nested too deeply, for a person as well
            return
        else:
            if isinstance(found, dict):
                yield found
        begin = _OBJECT.search(text, end)


def profile_of(blocks: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the last profile among some objects, if there is one."""
    return next(reversed(having(blocks, "columns", "samples")), None)


def having(blocks: list[dict[str, Any]], key: str, inner: str) -> list[dict[str, Any]]:
    """Return the objects whose list under `key` holds objects that have `inner`."""
    return [block for block in blocks if _holds(block.get(key), inner)]


def _holds(items: object, inner: str) -> bool:
    return (
        isinstance(items, list) and bool(items) and isinstance(items[0], dict) and inner in items[0]
    )

"""The crew's skill for the offline model: finds what it needs in the prompt's text, as a model would.

A prompt holds a profile (JSON with `columns` that have `samples`), a target schema (JSON with
`properties`), perhaps a proposal (JSON with `columns` that have a `field`) and lessons (lines).
"""

import json
from collections.abc import Iterator
from typing import Any

from crews.import_mapping.evidence import column
from crews.import_mapping.matching import propose, review

MODEL = "crewline/offline"


def map_columns(prompt: str) -> str | None:
    """A proposal, or a review of the last proposal, as JSON; None if the prompt asks neither."""
    blocks = list(json_objects(prompt))
    profile = _last(blocks, "columns", "samples")
    target = next((block for block in blocks if isinstance(block.get("properties"), dict)), None)
    if profile is None or target is None:
        return None
    columns = [column(entry, int(profile["rows"])) for entry in profile["columns"]]
    proposal = _last(blocks, "columns", "field")
    lessons = prompt.splitlines()
    mapping = (
        propose(columns, target, lessons)
        if proposal is None
        else review(columns, target, proposal["columns"], lessons)
    )
    return json.dumps({"columns": mapping, "model": MODEL}, ensure_ascii=False)


def json_objects(text: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in the text, in order, those inside another left out."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            if isinstance(found, dict):
                yield found
        at = text.find("{", end)


def _last(blocks: list[dict[str, Any]], key: str, inner: str) -> dict[str, Any] | None:
    """The last object whose list under `key` holds objects that have `inner`."""
    found = [block for block in blocks if _holds(block.get(key), inner)]
    return found[-1] if found else None


def _holds(items: object, inner: str) -> bool:
    return (
        isinstance(items, list) and bool(items) and isinstance(items[0], dict) and inner in items[0]
    )

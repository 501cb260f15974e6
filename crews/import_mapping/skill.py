"""The crew's skill for the offline model: finds what it needs in the prompt's text, as a model would.

A prompt holds a profile (JSON with `columns` that have `samples`), a target schema (JSON with
`properties`), perhaps proposals (JSON with `columns` that have a `field`) and lessons (lines). Of
several proposals each column takes what most of them say, then what is surest.

An agent's words may narrow what it goes by: NAMES_ALONE leaves out what values look like, SURE_ONLY
what is not nearly certain. Both stay within what the schema allows.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from crews.import_mapping.blocks import having, json_objects, profile_of
from crews.import_mapping.evidence import column

MODEL = "crewline/offline"
NAMES_ALONE = "by names alone"
SURE_ONLY = "only where it is nearly certain"
SURE = 0.7

Entries = list[dict[str, Any]]


def map_columns(prompt: str) -> str | None:
    """A proposal, or a review of the proposals, as JSON; None if the prompt asks neither."""
    blocks = list(json_objects(prompt))
    profile = profile_of(blocks)
    target = next((block for block in blocks if isinstance(block.get("properties"), dict)), None)
    if profile is None or target is None:
        return None
    columns = [column(entry, int(profile["rows"])) for entry in profile["columns"]]
    proposals = [block["columns"] for block in having(blocks, "columns", "field")]
    lessons = prompt.splitlines()
    from crews.import_mapping.matching import propose, review  # noqa: PLC0415 -- it loads scipy

    if proposals:
        mapping = review(columns, target, merged(proposals), lessons)
    else:
        mapping = _narrowed(propose(columns, _seen(target, prompt), lessons), prompt)
    return json.dumps({"columns": mapping, "model": MODEL}, ensure_ascii=False)


def merged(proposals: Sequence[Entries]) -> Entries:
    """Return one proposal of several: for each column what most say, then what is surest."""
    entries: dict[str, Entries] = {}
    for entry in (entry for proposal in proposals for entry in proposal):
        entries.setdefault(str(entry.get("column")), []).append(entry)
    return [_most_said(said) for said in entries.values()]


def _most_said(said: Entries) -> dict[str, Any]:
    votes = Counter(entry.get("field") for entry in said)
    return max(
        said, key=lambda entry: (votes[entry.get("field")], float(entry.get("confidence") or 0))
    )


def _seen(target: dict[str, Any], prompt: str) -> dict[str, Any]:
    """Return the target as the agent goes by it: without examples if it goes by names alone."""
    if NAMES_ALONE not in prompt:
        return target
    fields: Mapping[str, Any] = target["properties"]
    plain = {name: _without_examples(field) for name, field in fields.items()}
    return {**target, "properties": plain}


def _without_examples(field: Any) -> Any:
    """Leave a Boolean, which is a schema as well, as it is."""
    if not isinstance(field, Mapping):
        return field
    given = cast("Mapping[str, Any]", field)
    return {key: value for key, value in given.items() if key != "examples"}


def _narrowed(mapping: Entries, prompt: str) -> Entries:
    if SURE_ONLY not in prompt:
        return mapping
    return [
        entry
        if entry["field"] is None or entry["confidence"] >= SURE
        else {**entry, "field": None, "reason": "not sure enough"}
        for entry in mapping
    ]

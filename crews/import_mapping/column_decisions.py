"""The decisions of a mapping, as a learner knows them: which field each column feeds.

What is known of a column is the words of its name, and what the evidence proposes for it without any
lesson. So a learner sees where the evidence is right and where it errs, and need not learn from a few
columns what the evidence knows. What a column's name means, and whether it feeds nothing, is a
question of which fields there are: each set of fields has a memory of its own.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from crews.import_mapping.blocks import json_objects, profile_of
from crews.import_mapping.cpu_limit import TooMuchWork
from crews.import_mapping.evidence import Column, column
from crews.import_mapping.lessons import Lesson, line, spelled

MEMORY = "import_mapping"
OTHERS = "(others)"  # proposed of a column that says again what others say
NOTHING = "(none)"  # the action of a column that feeds no field


@dataclass(frozen=True, slots=True)
class ColumnDecision:
    """Which of `candidates` a column feeds. `usual` is its context without what is its own.

    A column that others make needless says nothing of its name: unless a person does, it `teaches` nothing.
    """

    about: str
    context: Mapping[str, Any]
    usual: Mapping[str, Any]
    candidates: tuple[str, ...]
    teaches: bool = True

    @property
    def expected(self) -> str:
        """The action of what the evidence proposes."""
        proposed = str(self.context["proposed"])
        return NOTHING if proposed == OTHERS else proposed


def memory(inputs: Mapping[str, Any]) -> str:
    """Return the name of what is learnt for the fields of a flow's target."""
    fields = "\n".join(sorted(inputs["target"]["properties"]))
    return f"{MEMORY}-{hashlib.sha256(fields.encode()).hexdigest()[:8]}"


def decisions(text: str, inputs: Mapping[str, Any], task: str) -> Sequence[ColumnDecision]:
    """Return a decision for each column of the profile in a text; none where there is no profile."""
    del task
    profile = profile_of(list(json_objects(text)))
    if profile is None:
        return ()
    return _of_texts(json.dumps(profile), json.dumps(inputs["target"]))


@lru_cache(8)
def _of_texts(profile_text: str, target_text: str) -> Sequence[ColumnDecision]:
    """Return what `decisions` does: the steps of a flow ask for the same, one after the other."""
    profile = json.loads(profile_text)
    columns = [column(entry, int(profile["rows"])) for entry in profile["columns"]]
    return of_columns(columns, json.loads(target_text))


def of_columns(columns: Sequence[Column], target: Mapping[str, Any]) -> Sequence[ColumnDecision]:
    """Return a decision for each column; none for what takes too long to look at."""
    from crews.import_mapping.matching import proposal  # noqa: PLC0415 -- it loads scipy

    try:
        found = proposal(columns, target)
    except TooMuchWork:
        return ()
    candidates = (*target["properties"], NOTHING)
    return [
        _decision(entry["column"], entry["field"], candidates, entry["column"] in found.aside)
        for entry in found.entries
    ]


def _decision(
    name: str, field: str | None, candidates: tuple[str, ...], aside: bool
) -> ColumnDecision:
    known = {"column": spelled(name), "proposed": OTHERS if aside else field or NOTHING}
    return ColumnDecision(name, known, known | {"column": ""}, candidates, teaches=not aside)


def lesson(
    decision: ColumnDecision, action: str, sure: float, usual: float | None, name: str
) -> str:
    """Return a lesson in words: the action it names, how sure that is, and without what is its own."""
    field = None if action == NOTHING else action
    if usual is None:
        return line(Lesson(decision.about, field, id=name))
    return line(Lesson(decision.about, field, sure, usual, name))


def decided(output: Any) -> Mapping[str, str]:
    """Return the field of each column in a mapping."""
    if not isinstance(output, Mapping):
        return {}
    entries = cast("Sequence[Mapping[str, Any]]", output.get("columns", ()))
    return {str(entry["column"]): str(entry["field"] or NOTHING) for entry in entries}

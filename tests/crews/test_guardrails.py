"""What the guardrails of the example crews refuse, in words that an agent can act on."""

from pathlib import Path

import pytest

from core.crews.definition import GUARDRAIL_NAME, Registry
from crews.import_mapping.guardrails import fields_of_the_target
from crews.research_brief.guardrails import numbers_of_the_notes
from crews.tools import GUARDRAILS, TOOLS

TARGET = {"properties": {"zip": {}, "street": {"x-parts": ["direction"]}}}
NOTES = {"question": "Worth 2 ferries?", "notes": "It carried 4,120 people for 0.5 million."}


def mapped(*fields: str | None) -> str | None:
    columns = [{"column": f"c{n}", "field": field} for n, field in enumerate(fields)]
    return fields_of_the_target({"columns": columns}, {"target": TARGET})


def test_a_mapping_stays_within_the_target():
    assert mapped("zip", None, None, "street", "street") is None


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (("zip", "city"), "the target has no field city; it has: zip, street"),
        (("zip", "zip"), "only one column may feed zip"),
    ],
)
def test_a_mapping_that_leaves_the_target_is_refused(fields: tuple[str, ...], complaint: str):
    assert mapped(*fields) == complaint


def test_a_brief_may_say_the_numbers_of_its_notes_in_any_spelling():
    assert numbers_of_the_notes("2 ferries carried 4120, for 0,5 million.", NOTES) is None


def test_a_brief_may_not_make_numbers_up():
    assert numbers_of_the_notes("It carried 4,121 people in 3 weeks.", NOTES) == (
        "the notes do not say 4121, 3"
    )


def test_every_crew_names_only_what_this_deployment_has():
    registry = Registry(Path("crews"))
    used = set[str]()
    for crew in map(registry.get, registry.names()):
        for named in [*crew.agents.values(), *crew.tasks.values()]:
            assert set(named.tools or ()) <= TOOLS.keys()
        rules = {rule for task in crew.tasks.values() for rule in task.guardrails}
        used |= {rule for rule in rules if GUARDRAIL_NAME.fullmatch(rule)}
    assert used == GUARDRAILS.keys()

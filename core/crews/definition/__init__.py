"""Crews as they run: what `make crews` has checked and written down (infra/crews).

A definition is data. It names tools, which must be on the allow-list of the deployment, and holds
no code, path or key; a request names a crew and never sends one. A flow carries the definition it
was launched with, so a deploy in the middle of a flow does not change it; that is read leniently,
since the version that stored it may have been another one.
"""

from core.crews.definition.crew import Definition, FilledDefinition, StoredDefinitionError
from core.crews.definition.elements import (
    GUARDRAIL_NAME,
    Agent,
    Consensus,
    Limits,
    Process,
    Task,
)
from core.crews.definition.placeholders import as_text
from core.crews.definition.registry import CrewFileError, Problem, Registry

__all__ = [
    "GUARDRAIL_NAME",
    "Agent",
    "Consensus",
    "CrewFileError",
    "Definition",
    "FilledDefinition",
    "Limits",
    "Problem",
    "Process",
    "Registry",
    "StoredDefinitionError",
    "Task",
    "as_text",
]

"""Crews as they are written down: CrewAI's words in a YAML file, checked strictly.

A definition is data. It names tools, which must be on the allow-list of the deployment, and holds
no code, path or key; a request names a crew and never sends one. A flow carries the definition it
was launched with, so a deploy in the middle of a flow does not change it.
"""

from core.crews.definition.crew import Definition
from core.crews.definition.registry import Registry, parse
from core.crews.definition.words import (
    GUARDRAIL_NAME,
    PLACEHOLDER,
    Agent,
    Consensus,
    Limits,
    Process,
    Task,
)

__all__ = [
    "GUARDRAIL_NAME",
    "PLACEHOLDER",
    "Agent",
    "Consensus",
    "Definition",
    "Limits",
    "Process",
    "Registry",
    "Task",
    "parse",
]

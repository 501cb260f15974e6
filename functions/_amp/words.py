"""Words of CrewAI AMP that its answers and its webhooks share."""

import re
from typing import Any
from uuid import UUID

PENDING = "pending_human_input"
HEX_ID = re.compile(r"fl_([0-9a-f]{32})")
UUID_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def kickoff_id(flow: str) -> str:
    """Return a flow's id as AMP's are: a UUID, the hex digits of which it has."""
    match = HEX_ID.fullmatch(flow)
    return str(UUID(match[1])) if match else flow


def flow_id(kickoff: str) -> str:
    """Return the id of a kickoff's flow; `kickoff` may be that id already."""
    return f"fl_{UUID(kickoff).hex}" if UUID_ID.fullmatch(kickoff) else kickoff


def step(step: str, task: str, agent: str, result: str) -> dict[str, Any]:
    """Return a step that is done, as a status and a webhook tell it."""
    return {
        "thought": "",  # an agent's thoughts are messages of the event stream
        "tool": None,
        "tool_input": None,
        "result": result,
        "step": step,
        "task_id": task,
        "agent": agent,
    }


def structured(output: Any) -> Any:
    """Return an output that is more than text, None for one that is text."""
    return None if isinstance(output, str) else output

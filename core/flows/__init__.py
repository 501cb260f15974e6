"""Flows: runs of crews, as their readers see them.

`state` is what a flow looks like at one moment, `events` what happens in it, in AG-UI's words, and
`log` the port that reads both. `live` follows a flow as it happens, `pages` reads it page by page,
`tickets` let a reader in who can send no header.
"""

from core.flows.log import Batch, Entry, FlowLog
from core.flows.state import CURSOR, Flow, Head, Status, Step, Summary

__all__ = [
    "CURSOR",
    "Batch",
    "Entry",
    "Flow",
    "FlowLog",
    "Head",
    "Status",
    "Step",
    "Summary",
]

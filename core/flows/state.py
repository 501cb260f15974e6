"""The state of a flow: what a run of a crew looks like from outside.

A flow moves from queued to running, may wait, and ends once. Every change of its state bumps the
state version, and incarnation + version *is* the ETag: a poller that is up to date costs one Redis
command and an empty 304. Every event, whether it changes the state or not, has a number; the
incarnation with that number is the cursor of whoever follows.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from core.blobs import BlobRef
from core.costs.usage import Usage

if TYPE_CHECKING:  # few flows have any, and each module costs a cold reader a millisecond
    from core.costs.model_choices import Choice

CURSOR = re.compile(r"([0-9a-f]{8})\.(0|[1-9][0-9]{0,14})")  # incarnation and number
SCHEMA = "1"  # bump when the JSON of a state changes its meaning: every cached ETag then misses

TAG = re.compile(rf'(?:W/)?("{SCHEMA}\.([0-9a-f]{{8}})\.(0|[1-9][0-9]{{0,14}})")')


class Status(StrEnum):
    """Where a flow stands. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest of a flow, read with one command however large its state is.

    `incarnation` tells a flow from a later one of the same id; `last_event` is the number of its
    last event, `version` that of its state.
    """

    incarnation: str
    last_event: int
    version: int
    status: Status

    @property
    def etag(self) -> str:
        """The strong entity-tag of the state, quotes included (RFC 9110, 8.8.3)."""
        return f'"{SCHEMA}.{self.incarnation}.{self.version}"'

    @property
    def snapshot_event(self) -> int:
        """The number of the last event that a snapshot of this state takes the place of.

        A snapshot of a flow that has ended is followed by the final event, as every stream is.
        """
        return self.last_event - 1 if self.status.terminal else self.last_event

    def known_as(self, if_none_match: str) -> str | None:
        """Return the caller's tag of this state, or of a newer one; None if it has neither.

        A newer one means that this head was read from a replica that is behind, and the caller must
        not be sent back to it. Compared weakly (RFC 9110, 13.1.2); what is no tag of ours matches
        nothing. None of our tags has a comma, so a list may be split at its commas.
        """
        if if_none_match.strip() == "*":
            return self.etag
        for member in if_none_match.split(","):
            tag = TAG.fullmatch(member.strip(" \t"))
            if tag and tag[2] == self.incarnation and int(tag[3]) >= self.version:
                return tag[1]
        return None

    def cursor(self, number: int | None = None) -> str:
        """The id of an event in this flow's stream; of the last one if no number is given."""
        return f"{self.incarnation}.{self.last_event if number is None else number}"

    def number(self, cursor: str) -> int | None:
        """The number in a cursor of this incarnation; None for any other text."""
        match = CURSOR.fullmatch(cursor)
        return int(match[2]) if match and match[1] == self.incarnation else None


@dataclass(frozen=True, slots=True)
class Step:
    """One unit of work as the ledger knows it. `epoch` counts its claims, 0 before the first.

    `attempts` counts those of them that were not given back, `deferrals` those that were put off: given
    back for a while, and not because a worker was stopped. Times are Redis' own, in milliseconds
    since 1970; `lease_ms` is until when its worker holds it, and may be older than the rest.
    """

    id: str
    title: str
    agent: str
    state: str = "pending"  # pending | running | done | failed | cancelled
    epoch: int = 0
    attempts: int = 0
    deferrals: int = 0
    lease_ms: int = field(default=0, compare=False)
    started_ms: int | None = None
    finished_ms: int | None = None
    error: str | None = None  # of the last attempt that failed
    deferred: dict[str, Any] | None = None  # while it is put off: {reason, until_ms}

    def public(self) -> dict[str, Any]:
        """What readers see of the step."""
        return {
            "id": self.id,
            "title": self.title,
            "agent": self.agent,
            "state": self.state,
            "attempt": self.attempts,
            "started_ms": self.started_ms,
            "finished_ms": self.finished_ms,
            "error": self.error,
            "waiting": self.deferred,
        }


@dataclass(frozen=True, slots=True)
class Flow:
    """The whole state of a flow at one moment, `head` telling which."""

    id: str
    head: Head
    crew: str
    created_ms: int
    updated_ms: int
    definition: dict[str, Any]  # as it was at launch: a deploy does not change a running flow
    inputs: dict[str, Any]
    definition_digest: str = ""
    deadline_ms: int | None = None  # by the store's clock
    webhooks: dict[str, Any] = field(default_factory=dict[str, Any])
    status_epoch: int = 0
    waiting: dict[str, Any] | None = None  # what for, while the status is WAITING
    steps: tuple[Step, ...] = ()
    results: dict[str, Any] = field(default_factory=dict[str, Any])
    usage: Usage = field(default_factory=Usage)
    output: Any = None  # JSON, or the BlobRef of it
    error: str | None = None
    launched_by: str | None = None  # the subject of a token
    starting_ms: int | None = None  # since when a worker loads for it that had just begun
    models: dict[str, "Choice"] = field(
        default_factory=dict[str, "Choice"]
    )  # of tasks with their own
    # Numbers of events, as a snapshot has them: of the one that brought a result (not of those that
    # were there at the launch), and of the last that changed the status.
    brought: dict[str, int] = field(default_factory=dict[str, int], compare=False)
    moved: int = field(default=0, compare=False)

    @property
    def question(self) -> dict[str, Any] | None:
        """What a person is asked, while the flow waits for that and not for money."""
        return self.waiting if self.waiting is not None and "review" in self.waiting else None

    @property
    def waits_for_money(self) -> bool:
        return self.waiting is not None and "budget" in self.waiting

    def public(self) -> dict[str, Any]:
        """The snapshot: JSON-ready, without inputs, definition, owners and step results.

        In the place of an output that is too large for it, `output_ref` says where that is read.
        `starting_ms` is there from when a worker has begun to load for a queued flow.
        """
        large = isinstance(self.output, BlobRef)
        ref = {"output_ref": output_ref(self.id, self.output.bytes)} if large else {}
        starting = {} if self.starting_ms is None else {"starting_ms": self.starting_ms}
        return (
            ref
            | starting
            | {
                "id": self.id,
                "crew": self.crew,
                "definition": self.definition_digest,
                "status": self.head.status.value,
                "version": self.head.version,
                "launched_by": self.launched_by,
                "created_ms": self.created_ms,
                "updated_ms": self.updated_ms,
                "steps": [step.public() for step in self.steps],
                "usage": self.usage.public(),
                "waiting": self.waiting,
                "output": None if large else self.output,
                "error": self.error,
            }
        )


def output_ref(flow: str, size: int, review: str | None = None) -> dict[str, Any]:
    """Return what readers see in the place of an output of `size` bytes, or of a review's draft."""
    of = "" if review is None else f"?review={review}"
    return {"bytes": size, "url": f"/v1/flows/{flow}/output{of}"}


def shown_result(flow: str, output: Any) -> Any:
    """Return an output as the last event of a flow has it."""
    if not isinstance(output, BlobRef):
        return output
    return {"output_ref": output_ref(flow, output.bytes)}


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of a tenant's list of flows; no two have the same place in its order."""

    id: str
    crew: str
    status: Status
    created_ms: int
    order: int

    def public(self) -> dict[str, Any]:
        """The line as JSON."""
        return {
            "id": self.id,
            "crew": self.crew,
            "status": self.status.value,
            "created_ms": self.created_ms,
        }

"""Between the fields of a flow's hash and the flow they stand for."""

import json
from typing import Any

from core.costs.usage import Usage
from core.errors import NotFoundError
from core.flows import Flow, Head, Status, Step

HEAD_FIELDS = ("inc", "seq", "ver", "status")


def head(flow: str, values: list[str | None]) -> Head:
    """Return the head from the values of HEAD_FIELDS. Raises NotFoundError where there is none."""
    incarnation, sequence, version, status = values
    if not (incarnation and sequence and version and status):
        raise NotFoundError(f"no flow {flow}")
    return Head(incarnation, int(sequence), int(version), Status(status))


def blank(step: Step, order: int) -> dict[str, Any]:
    """Return the field of a step before its first start."""
    return {
        "title": step.title,
        "agent": step.agent,
        "order": order,
        "state": "pending",
        "epoch": 0,
    }


def _step(name: str, stored: dict[str, Any]) -> Step:
    return Step(
        name,
        stored["title"],
        stored["agent"],
        stored["state"],
        stored["epoch"],
        stored.get("lease", 0),
        stored.get("started"),
        stored.get("finished"),
    )


def _steps(fields: dict[str, str]) -> tuple[Step, ...]:
    stored = [
        (name.removeprefix("step:"), json.loads(value))
        for name, value in fields.items()
        if name.startswith("step:")
    ]
    return tuple(_step(name, s) for name, s in sorted(stored, key=lambda s: s[1]["order"]))


def _fields(reply: Any) -> dict[str, str]:
    if isinstance(reply, list):
        return dict(zip(reply[::2], reply[1::2], strict=True))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return reply


def flow(name: str, reply: Any) -> Flow:
    """Return the flow from a reply to HGETALL, a flat list or a dict as the client gives it.

    Raises NotFoundError for an empty one.
    """
    fields = _fields(reply)
    return Flow(
        id=name,
        head=head(name, [fields.get(field) for field in HEAD_FIELDS]),
        crew=fields["crew"],
        created_ms=int(fields["created"]),
        updated_ms=int(fields["updated"]),
        definition=json.loads(fields["definition"]),
        inputs=json.loads(fields["inputs"]),
        status_epoch=int(fields["epoch"]),
        steps=_steps(fields),
        results={
            field.removeprefix("result:"): json.loads(value)
            for field, value in fields.items()
            if field.startswith("result:")
        },
        usage=Usage(**json.loads(fields.get("usage", "{}"))),
        output=json.loads(fields.get("output") or "null"),
        error=fields.get("error") or None,
    )

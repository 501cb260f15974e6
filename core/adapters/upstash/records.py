"""Between the fields of a flow's hash and the flow they stand for."""

import json
from typing import Any

from core.costs.budgets import Call, Spending
from core.costs.usage import Usage
from core.crews.ledger import Launch
from core.errors import NotFoundError
from core.flows import Flow, Head, Status, Step

HEAD_FIELDS = ("inc", "seq", "ver", "status")


def head(flow: str, values: list[str | None]) -> Head:
    """Return the head from the values of HEAD_FIELDS. Raises NotFoundError where there is none."""
    incarnation, sequence, version, status = values
    if not (incarnation and sequence and version and status):
        raise NotFoundError(f"no flow {flow}")
    return Head(incarnation, int(sequence), int(version), Status(status))


def launched(launch: Launch) -> list[str]:
    """Return what a new flow's hash holds of its launch, as a flat list for HSET."""
    stored = {
        "inc": launch.incarnation,
        "crew": launch.crew,
        "definition": json.dumps(launch.definition),
        "definition_digest": launch.definition_digest,
        "inputs": json.dumps(launch.inputs),
    }
    if launch.launched_by is not None:
        stored["launched_by"] = launch.launched_by
    if launch.webhooks:
        stored["webhooks"] = json.dumps(launch.webhooks)
    for order, step in enumerate(launch.steps):
        stored[f"step:{step.id}"] = json.dumps(step_fields(step) | {"order": order})
    for name, result in launch.results.items():
        stored[f"result:{name}"] = json.dumps(result, allow_nan=False)
    return [text for pair in stored.items() for text in pair]


def step_fields(step: Step) -> dict[str, Any]:
    """Return what is stored of a step that no worker of this flow has begun."""
    times = {"started": step.started_ms, "finished": step.finished_ms}
    return {
        "title": step.title,
        "agent": step.agent,
        "state": step.state,
        "epoch": step.epoch,
        "seq": 0,
        **{name: ms for name, ms in times.items() if ms is not None},
    }


def _step(name: str, stored: dict[str, Any]) -> Step:
    return Step(
        id=name,
        title=stored["title"],
        agent=stored["agent"],
        state=stored["state"],
        epoch=stored["epoch"],
        lease_ms=stored.get("lease", 0),
        started_ms=stored.get("started"),
        finished_ms=stored.get("finished"),
        error=stored.get("error"),
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
        definition_digest=fields.get("definition_digest", ""),
        inputs=json.loads(fields["inputs"]),
        deadline_ms=int(fields["deadline"]) if "deadline" in fields else None,
        webhooks=json.loads(fields.get("webhooks", "{}")),
        launched_by=fields.get("launched_by"),
        status_epoch=int(fields["epoch"]),
        waiting=json.loads(fields.get("waiting") or "null"),
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


def call(reserved: Call) -> dict[str, Any]:
    """Return what is stored of a call under way, in the field `calls` under its id."""
    names = ("step", "epoch", "number", "model", "crew", "task")
    return {**{n: getattr(reserved, n) for n in names}, "bound": reserved.bound.public()}


def spending(reply: Any) -> list[Spending]:
    """Return a day's roll-up from a reply to HGETALL."""
    return [_spending(name, value) for name, value in sorted(_fields(reply).items())]


def _spending(name: str, value: str) -> Spending:
    model, crew, task = name.rsplit("|", 2)  # a model's name may hold any character
    return Spending(model, crew, task, Usage(**json.loads(value)))

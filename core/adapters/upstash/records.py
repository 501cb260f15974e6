"""Between the fields of a flow's hash and the flow they stand for.

What is stored outlives the code that stored it: fields that are unknown here are passed over, those
that are missing get what they meant before there were any.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any

from core.blobs import BlobRef
from core.costs.usage import Usage
from core.errors import NotFoundError
from core.flows import Flow, Head, Status, Step
from core.flows.values import output_blob
from core.json_text import compact

if TYPE_CHECKING:  # who reads a flow launches none, and sums up nothing
    from core.costs.facts import Facts
    from core.costs.model_choices import Choice, TaskOutcome
    from core.crews.ledger import Launch

HEAD_FIELDS = ("inc", "seq", "ver", "status")
USAGE_FIELDS = tuple(field.name for field in fields(Usage))


def result_text(result: dict[str, Any] | BlobRef) -> str:
    """Return what is stored of a step's result; the blob of a large one."""
    return compact(asdict(result) if isinstance(result, BlobRef) else result)


def result(stored: str) -> dict[str, Any] | BlobRef:
    """Return a result, which always has an `output`, or the reference to one, which has none."""
    found: dict[str, Any] = json.loads(stored)
    is_ref = "blob" in found and "output" not in found
    return BlobRef(found["blob"], found["bytes"]) if is_ref else found


def _output(flow: str, fields: dict[str, str], incarnation: str) -> Any:
    if size := fields.get("output_bytes"):
        return BlobRef(output_blob(flow, incarnation), int(size))
    return json.loads(fields.get("output") or "null")


def head(flow: str, values: list[str | None]) -> Head:
    """Return the head from the values of HEAD_FIELDS. Raises NotFoundError where there is none."""
    incarnation, last_event, version, status = values
    if not (incarnation and last_event and version and status):
        raise NotFoundError(f"no flow {flow}")
    return Head(incarnation, int(last_event), int(version), Status(status))


def launched(launch: "Launch") -> list[str]:
    """Return what a new flow's hash holds of its launch, as a flat list for HSET."""
    stored = {
        "inc": launch.incarnation,
        "crew": launch.crew,
        "definition_digest": launch.definition_digest,
        "inputs": compact(launch.inputs),
    }
    if launch.launched_by is not None:
        stored["launched_by"] = launch.launched_by
    if launch.webhooks:
        stored["webhooks"] = compact(launch.webhooks)
    for order, step in enumerate(launch.steps):
        stored[f"step:{step.id}"] = compact(step_fields(step) | {"order": order})
    for name, value in launch.results.items():
        stored[f"result:{name}"] = result_text(value)
    return [text for pair in stored.items() for text in pair]


def step_fields(step: Step) -> dict[str, Any]:
    """Return what is stored of a step that no worker of this flow has begun."""
    times = {"started": step.started_ms, "finished": step.finished_ms}
    return {
        "title": step.title,
        "agent": step.agent,
        "state": step.state,
        "epoch": step.epoch,
        "attempts": step.attempts,
        "seq": 0,
        **{name: ms for name, ms in times.items() if ms is not None},
    }


def _step(name: str, record: str) -> tuple[int, Step]:
    stored: dict[str, Any] = json.loads(record)
    step = Step(
        id=name,
        title=stored["title"],
        agent=stored["agent"],
        state=stored["state"],
        epoch=stored["epoch"],
        attempts=stored.get("attempts", stored["epoch"]),
        deferrals=stored.get("deferrals", 0),
        lease_ms=stored.get("lease", 0),
        started_ms=stored.get("started"),
        finished_ms=stored.get("finished"),
        error=stored.get("error"),
        deferred=stored.get("deferred"),
    )
    return stored["order"], step


def _steps(fields: dict[str, str]) -> tuple[Step, ...]:
    stored = [
        _step(name.removeprefix("step:"), value)
        for name, value in fields.items()
        if name.startswith("step:")
    ]
    return tuple(step for _, step in sorted(stored, key=lambda s: s[0]))


def as_dict(reply: Any) -> dict[str, str]:
    """Return a flat list of names and values as a dict; a dict as it is."""
    if isinstance(reply, list):
        return dict(zip(reply[::2], reply[1::2], strict=True))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return reply


def flow(name: str, fields: dict[str, str], definition: dict[str, Any]) -> Flow:
    """Return the flow from its hash. Raises NotFoundError for an empty one."""
    return Flow(
        id=name,
        head=head(name, [fields.get(field) for field in HEAD_FIELDS]),
        crew=fields["crew"],
        created_ms=int(fields["created"]),
        updated_ms=int(fields["updated"]),
        definition=definition,
        definition_digest=fields.get("definition_digest", ""),
        inputs=json.loads(fields["inputs"]),
        deadline_ms=int(fields["deadline"]) if "deadline" in fields else None,
        webhooks=json.loads(fields.get("webhooks", "{}")),
        launched_by=fields.get("launched_by"),
        starting_ms=int(fields["starting"]) if "starting" in fields else None,
        models=choices(fields.get("models", "{}")),
        status_epoch=int(fields["epoch"]),
        waiting=json.loads(fields.get("waiting") or "null"),
        steps=_steps(fields),
        results={
            field.removeprefix("result:"): result(value)
            for field, value in fields.items()
            if field.startswith("result:")
        },
        usage=usage(fields.get("usage", "{}")),
        output=_output(name, fields, fields["inc"]),
        error=fields.get("error") or None,
        brought=dict(_brought(fields)),
        moved=int(fields.get("moved", 0)),
    )


def choices(stored: str) -> dict[str, "Choice"]:
    """Return which models do the tasks of a flow that have one of their own."""
    if stored == "{}":
        return {}
    from core.costs.model_choices import Choice  # noqa: PLC0415 -- few flows have any
    from core.costs.trials import Arm  # noqa: PLC0415 -- as above

    return {
        task: Choice(
            found.get("model"),
            found.get("trial"),
            found.get("run", ""),
            Arm(found.get("arm", Arm.IN_USE)),
        )
        for task, found in json.loads(stored).items()
    }


def _brought(fields: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Yield the results that came with an event, and its number; a commit's is the last of its write."""
    for field, value in fields.items():
        if field.startswith("step:") and '"last"' in value:
            yield field.removeprefix("step:"), json.loads(value)["last"]
        elif field.startswith("brought:"):
            yield field.removeprefix("brought:"), int(value)


def updated(known: Flow, fields: dict[str, str], parts: list[str], own: dict[str, Any]) -> Flow:
    """Return the state to which changes lead from one that is known.

    `fields` are those of the head; `parts` name, step record and result of what changed, in turn,
    both empty where there is none; `own` the results that the caller has.
    """
    steps, new = list(known.steps), list[tuple[int, Step]]()
    places = {step.id: at for at, step in enumerate(steps)}
    results = known.results | own
    for name, record, value in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if value:
            results[name] = result(value)
        if not record:
            continue
        order, step = _step(name, record)
        if name in places:
            steps[places[name]] = step
        else:
            new.append((order, step))
    steps += [step for _, step in sorted(new, key=lambda s: s[0])]
    return replace(
        known,
        head=head(known.id, [known.head.incarnation, *(fields[f] for f in HEAD_FIELDS[1:])]),
        updated_ms=int(fields["updated"]),
        status_epoch=int(fields["epoch"]),
        waiting=json.loads(fields.get("waiting") or "null"),
        usage=usage(fields.get("usage", "{}")),
        output=_output(known.id, fields, known.head.incarnation),
        error=fields.get("error") or None,
        steps=tuple(steps),
        results=results,
    )


def usage(stored: str) -> Usage:
    """Return what is stored as sums."""
    return sums(stored)[0]


def sums(stored: str) -> "tuple[Usage, Facts]":
    """Return the usage that is stored as sums, and the facts beside it."""
    found: dict[str, int] = json.loads(stored)
    usage = Usage(*[found.pop(name, 0) for name in USAGE_FIELDS])
    return usage, found


def outcome(recorded: "TaskOutcome") -> dict[str, Any]:
    """Return what scripts take of an outcome, without what is None: Lua would see `null` as something."""
    return {name: value for name, value in asdict(recorded).items() if value is not None}

"""Changes of what a task has learnt, beside learning more: going back to an earlier model, and forgetting."""

from core.errors import NothingThereError
from core.learning.feedback import FeedbackLog
from core.learning.models.model_store import ModelStore, StoredPointer, require_newest
from core.learning.models.pointer import Pointer


async def publish(
    store: ModelStore, log: FeedbackLog, tenant: str, task: str, new: Pointer, etag: str | None
) -> StoredPointer:
    """Write a pointer, and then its sequence as the lowest that is believed.

    In this order, since a floor above the pointer would refuse it. Raises ConflictError.
    """
    written = await store.publish(tenant, task, new, etag)
    await log.raise_floor(tenant, task, new.sequence)
    return StoredPointer(new, written)


async def current(store: ModelStore, log: FeedbackLog, tenant: str, task: str) -> StoredPointer:
    """Return a task's pointer. Raises UntrustedError for one that is older than one there was."""
    found = await store.pointer(tenant, task)
    assert found is not None  # noqa: S101 -- no ETag was named
    require_newest(found.pointer, await log.floor(tenant, task))
    return found


async def roll_back(
    store: ModelStore, log: FeedbackLog, tenant: str, task: str, version: int
) -> Pointer:
    """Have one of the last models answer; return the pointer. Raises NothingThereError, ConflictError."""
    found = await current(store, log, tenant, task)
    kept = [one.version for one in found.pointer.versions]
    if version not in kept:
        there = ", ".join(map(str, kept)) or "none"
        raise NothingThereError(f"there is no model {version} of this task; there are: {there}")
    new = found.pointer.next(version=version)
    return (await publish(store, log, tenant, task, new, found.etag)).pointer


async def forget_task(store: ModelStore, log: FeedbackLog, tenant: str, task: str) -> None:
    """Remove all that was said of a task and learnt from it. Raises ConflictError, UnavailableError.

    The pointer first: from then on nobody reads the rest. What fails halfway is listed
    still and can be sent again. A pointer that is refused is overwritten, so this is also how a task
    begins anew.
    """
    etag, there = await store.untrusted_pointer(tenant, task)
    sequence = max(there.sequence, await log.floor(tenant, task)) + 1
    new = Pointer(sequence, generation=sequence)
    await publish(store, log, tenant, task, new, etag)
    await log.forget(tenant, task, None)
    await store.delete_all(tenant, task)
    await log.unlist(tenant, task)

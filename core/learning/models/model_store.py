"""The model store: what learning keeps in the object store, one folder a task, every object sealed.

    learning/TASK/pointer                          what there is, and which model answers (`pointer`)
    learning/TASK/models/GENERATION/VERSION        a model
    learning/TASK/segments/GENERATION/NAME         feedback, a JSON object a line; never written twice

An object is read whole, within its limit, and its seal is checked before anything else is done with it.
A change is what is new, then the pointer by compare-and-set: whoever is killed before that has changed
nothing, and of two who change a task at once the second is told. Methods block no event loop.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core import cpu
from core.blobs import BlobStore, VersionedBlob, in_thread
from core.errors import NotFoundError, TooLargeError, UnavailableError
from core.learning.learner.model import Model
from core.learning.models import model_file, pointer
from core.learning.models.pointer import Pointer, Segment, UnreadablePointerError
from core.learning.models.seals import Label, SealKeys, UnsealedError
from core.learning.models.stored import DamagedModelError

SEGMENT_BYTES = 8 << 20
SEAL_BYTES = 1024
KINDS = ("models", "segments")  # folders of a task
BINARY = "application/octet-stream"


class UntrustedError(UnavailableError):
    """An object is damaged, or not sealed by us as what it is said to be; the message says which."""


@dataclass(frozen=True, slots=True)
class StoredPointer:
    """A pointer, and the ETag of its object; None where there is none yet."""

    pointer: Pointer
    etag: str | None


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Models, pointers and feedback segments of tenants. `blobs` is asked for at the first call.

    Methods raise UnavailableError where the object store does not answer.
    """

    blobs: Callable[[], BlobStore]
    keys: SealKeys

    async def pointer(
        self, tenant: str, task: str, etag: str | None = None
    ) -> StoredPointer | None:
        """Return a task's pointer; None where it still has this `etag`.

        A task that has none has the first one, of nothing. Raises UntrustedError.
        """
        label = Label("pointer", tenant, task)
        try:
            found = await self._read(label, pointer.MOST_BYTES, etag)
        except NotFoundError:
            return StoredPointer(Pointer(), None)
        if found is None:
            return None
        data = self._opened(label, found.data)
        try:
            return StoredPointer(pointer.from_bytes(data), found.etag)
        except UnreadablePointerError as error:
            raise UntrustedError(str(error)) from error

    async def untrusted_pointer(self, tenant: str, task: str) -> tuple[str | None, Pointer]:
        """Return the ETag of what is in the pointer's place, and the pointer, if it is one of ours."""
        place = _place(Label("pointer", tenant, task))
        try:
            found = await in_thread(self.blobs().read, tenant, place, model_file.MAX_FILE_BYTES)
        except NotFoundError:
            return None, Pointer()
        try:
            there = await self.pointer(tenant, task)
        except UntrustedError:
            there = None
        return found and found.etag, there.pointer if there else Pointer()

    async def publish(self, tenant: str, task: str, new: Pointer, etag: str | None) -> str:
        """Write a pointer in the place of the one that has this `etag`; return its own.

        Raises ConflictError where somebody else has changed it since.
        """
        label = Label("pointer", tenant, task)
        data = self.keys.seal(label, new.to_bytes())
        return await in_thread(self.blobs().swap, tenant, _place(label), data, BINARY, etag)

    async def model(self, tenant: str, task: str, version: int, generation: int = 0) -> Model:
        """Return a model. Raises UntrustedError, NotFoundError."""
        label = Label("model", tenant, task, f"{generation}/{version}")
        sealed = await self._data(label, model_file.MAX_FILE_BYTES)

        def unpacked(data: bytes) -> Model:
            model = model_file.from_bytes(self.keys.open(label, data))
            if model.version != version:
                raise DamagedModelError(f"the model is damaged: it says that it is {model.version}")
            return model

        try:
            return await cpu.run_long(unpacked, sealed)
        except (UnsealedError, DamagedModelError) as error:
            raise UntrustedError(f"{_named(label)} is refused: {error}") from error

    async def save_model(self, tenant: str, task: str, model: Model, generation: int = 0) -> None:
        """Store a model under its version. Raises TooLargeError for one that nobody would read again."""
        label = Label("model", tenant, task, f"{generation}/{model.version}")
        data = await cpu.run(
            tenant, lambda one: self.keys.seal(label, model_file.to_bytes(one)), model
        )
        if len(data) > model_file.MAX_FILE_BYTES + SEAL_BYTES:
            raise TooLargeError(f"the model has {len(data):,} bytes")
        await in_thread(self.blobs().put, tenant, _place(label), data, BINARY)

    async def names(self, tenant: str, task: str) -> set[str]:
        """Return the models and segments that there are, as `Pointer.names` has them."""
        folder, found = _object(task, ""), set[str]()
        for kind in KINDS:
            found.update(await in_thread(self.blobs().names, tenant, f"{folder}{kind}/"))
        return {name.removeprefix(folder) for name in found}

    async def delete(self, tenant: str, task: str, names: Iterable[str]) -> None:
        """Remove what a pointer has as its garbage."""
        for name in names:
            place = _object(task, name)
            if name.endswith("/"):
                await in_thread(self.blobs().delete_all, tenant, place)
            else:
                await in_thread(self.blobs().delete, tenant, place)

    async def segment(self, tenant: str, task: str, segment: Segment) -> bytes:
        """Return the lines of a segment. Raises UntrustedError, NotFoundError."""
        label = Label("segment", tenant, task, segment.name)
        return self._opened(label, await self._data(label, segment.size_bytes))

    async def save_segment(
        self, tenant: str, task: str, lines: bytes, *, generation: int, first: int, last: int
    ) -> Segment:
        """Store feedback from number `first` to `last`; return what the pointer is to name."""
        name = f"{generation}/{first}-{last}-{secrets.token_hex(4)}"
        label = Label("segment", tenant, task, name)
        data = self.keys.seal(label, lines)
        await in_thread(self.blobs().put, tenant, _place(label), data, BINARY)
        return Segment(name, first, last, len(lines))

    async def delete_all(self, tenant: str, task: str) -> None:
        """Remove all models and segments of a task; the pointer stays."""
        for kind in KINDS:
            await in_thread(self.blobs().delete_all, tenant, _object(task, f"{kind}/"))

    async def _data(self, label: Label, most_bytes: int) -> bytes:
        found = await self._read(label, most_bytes)
        if found is None:  # only where an ETag is named
            raise UnavailableError("the object store does not answer")
        return found.data

    async def _read(
        self, label: Label, most_bytes: int, etag: str | None = None
    ) -> VersionedBlob | None:
        most = most_bytes + SEAL_BYTES
        try:
            return await in_thread(self.blobs().read, label.tenant, _place(label), most, etag)
        except TooLargeError as error:
            raise UntrustedError(f"{_named(label)} is refused: {error}") from error

    def _opened(self, label: Label, sealed: bytes) -> bytes:
        try:
            return self.keys.open(label, sealed)
        except UnsealedError as error:
            raise UntrustedError(f"{_named(label)} is refused: {error}") from error


def require_newest(found: Pointer, floor: int) -> None:
    """Raise UntrustedError for a pointer of a lower sequence than there was."""
    if found.sequence < floor:
        raise UntrustedError(f"pointer {found.sequence} is refused: there was {floor} before")


def _named(label: Label) -> str:
    return f"{label.kind} {label.name}".strip()


def _place(label: Label) -> str:
    return _object(label.task, f"{label.kind}s/{label.name}" if label.name else label.kind)


def _object(task: str, name: str) -> str:
    return f"learning/{task}/{name}"

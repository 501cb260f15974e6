"""GET /healthz, /healthz/{function}: whether a function can do its work, and if not, what is wrong.

Where several functions share a name, as behind one gateway, any of them has the first path and each its
own (docs/adr/0034). Anybody may ask. So a process looks at most every ten seconds, at the cost of one command of the store, and
the answer has names of parts and sentences of ours: no address, no key, nothing that somebody else wrote.
GET /health asks nobody, and says only that there is a process.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from core import bootstrap
from core.config import SettingsError
from core.errors import UnavailableError
from core.json_text import compact_bytes

log = logging.getLogger(__name__)

KEEP_SECONDS = 10.0
STORE_SECONDS = 2.0
T = TypeVar("T")
# They make what a function needs of its settings, or raise SettingsError.
Needs = tuple[Callable[[], object], ...]
SETTINGS = "a setting is missing or cannot work; the log says which"


@dataclass(frozen=True, slots=True)
class Report:
    """What is wrong, by part, and whether requests are answered all the same."""

    why: Mapping[str, str] = field(default_factory=dict[str, str])
    answers: bool = True

    @property
    def status(self) -> int:
        """200, or 503 where hosts and balancers had better ask another process."""
        return HTTPStatus.OK if self.answers else HTTPStatus.SERVICE_UNAVAILABLE

    @property
    def body(self) -> bytes:
        """`{"status": "ok"}`, or `degraded` with `why`."""
        told = {"status": "degraded", "why": self.why} if self.why else {"status": "ok"}
        return compact_bytes(told)


class Look(Generic[T]):
    """What a look at something saw, for ten seconds; whoever asks meanwhile waits for that look."""

    def __init__(self, look: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._look = look
        self._begun = -KEEP_SECONDS
        self._task: asyncio.Task[T] | None = None

    async def seen(self) -> T:
        """Return it. A loop that is gone has taken its look with it."""
        task, now = self._task, time.monotonic()
        here = task is not None and task.get_loop() is asyncio.get_running_loop()
        if task is None or not here or now - self._begun >= KEEP_SECONDS:
            self._begun = now
            task = self._task = asyncio.create_task(self._look())
        return await asyncio.shield(task)


class Health:
    """Looks at what functions need: at the store for all of a process together, at the settings for each."""

    def __init__(self) -> None:
        self._store = Look(_trouble_of_store)
        self._settings = dict[Needs, Look[bool]]()

    async def report(self, needs: Needs) -> Report:
        """Return what was seen in the last ten seconds."""
        look = self._settings.setdefault(needs, Look(partial(_can_be_used, needs)))
        if not await look.seen():
            return Report({"settings": SETTINGS}, answers=False)
        why, issuer = dict[str, str](), bootstrap.issuer()
        if trouble := await self._store.seen():
            why["store"] = trouble
        if issuer is not None and issuer.trouble:
            why["token issuer"] = issuer.trouble
        return Report(why, answers="store" not in why)


async def _can_be_used(needs: Needs) -> bool:
    try:
        for need in (*needs, bootstrap.issuer):
            need()
    except SettingsError as error:
        log.error("the settings cannot be used", extra={"why": str(error)})  # noqa: TRY400 -- said in full
        return False
    return True


async def _trouble_of_store() -> str:
    """Return why Redis does not answer, or is not ours; "" if all is well."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            return await bootstrap.store_check().trouble()
    except UnavailableError as error:
        return str(error)
    except TimeoutError:
        return "the store takes too long to answer"
    except Exception:
        log.exception("the store could not be asked")
        return "the store refuses to answer; the log says why"


health = Health()

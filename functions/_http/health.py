"""GET /healthz: whether a function can do its work, and if not, what is wrong.

Anybody may ask. So a process looks at most every ten seconds, at the cost of one command of the store, and
the answer has names of parts and sentences of ours: no address, no key, nothing that somebody else wrote.
GET /health asks nobody, and says only that there is a process.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from core import bootstrap
from core.config import SettingsError
from core.errors import UnavailableError
from core.json_text import compact_bytes

log = logging.getLogger(__name__)

KEEP_SECONDS = 10.0
STORE_SECONDS = 2.0
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


class Health:
    """Looks at what every function needs, and keeps what it saw for a while."""

    def __init__(self) -> None:
        self._looked = -KEEP_SECONDS
        self._looking: asyncio.Task[Report] | None = None
        self._takes_tokens = True

    async def report(self, *, takes_tokens: bool = True) -> Report:
        """Return what was seen in the last ten seconds; whoever asks meanwhile waits for one look.

        A function that takes tokens needs the keys to check them with.
        """
        looking, now = self._looking, time.monotonic()
        here = looking is not None and looking.get_loop() is asyncio.get_running_loop()
        same = here and takes_tokens == self._takes_tokens
        if looking is None or not same or now - self._looked >= KEEP_SECONDS:
            self._looked, self._takes_tokens = now, takes_tokens
            looking = self._looking = asyncio.create_task(_look(takes_tokens=takes_tokens))
        return await asyncio.shield(looking)


async def _look(*, takes_tokens: bool) -> Report:
    try:
        _ = bootstrap.keys() if takes_tokens else bootstrap.settings()
        issuer = bootstrap.issuer()
    except SettingsError as error:
        log.error("the settings cannot be used", extra={"why": str(error)})  # noqa: TRY400 -- said in full
        return Report({"settings": SETTINGS}, answers=False)
    why = dict[str, str]()
    if trouble := await _trouble_of_store():
        why["store"] = trouble
    if issuer is not None and issuer.trouble:
        why["token issuer"] = issuer.trouble
    return Report(why, answers="store" not in why)


async def _trouble_of_store() -> str:
    """Return why Redis does not answer; "" if it does."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await bootstrap.redis().execute(["TIME"])
    except UnavailableError as error:
        return str(error)
    except TimeoutError:
        return "the store takes too long to answer"
    except Exception:
        log.exception("the store could not be asked")
        return "the store refuses to answer; the log says why"
    return ""


health = Health()

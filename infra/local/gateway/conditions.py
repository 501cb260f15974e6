"""What a test can ask of the gateway beside good service: to lag, to refuse, to be small.

`POST /-/conditions` with some of the fields of `Conditions` as JSON sets them and answers with all;
`{}` only asks. There only where the gateway was started with `--adjustable`.
"""

import json
import random
from dataclasses import asdict, dataclass, fields
from typing import Any

from infra.local.gateway.admission import REQUEST_LIMIT_BYTES, Refused
from infra.local.gateway.refusals import REFUSALS

PATH = b"/-/conditions"
_OF_WRITES = frozenset({"capacity", "out-of-memory", "read-only"})  # reads go on


@dataclass
class Conditions:
    """How requests are served.

    `lag_ms` is how far reads are behind (needs a replica), `refuse` one of REFUSALS, for this
    `share` of the requests, `streams` how many subscriptions are served at once.
    """

    lag_ms: int = 0
    refuse: str | None = None
    share: float = 1.0
    streams: int | None = None
    request_bytes: int = REQUEST_LIMIT_BYTES

    def adjust(self, body: bytes) -> dict[str, Any]:
        """Set what the body names; return all. Raises Refused for what is none of the fields."""
        given = json.loads(body or b"{}")
        unknown = set(given) - {field.name for field in fields(self)}
        if unknown or given.get("refuse") not in {None, *REFUSALS}:
            raise Refused(400, f"ERR no such condition: {given}")
        for name, value in given.items():
            setattr(self, name, value)
        return asdict(self)

    def check(self, *, writes: bool) -> None:
        """Raise Refused if a request is not to be served."""
        if self.refuse is None or (self.refuse in _OF_WRITES and not writes):
            return
        if random.random() < self.share:  # noqa: S311 -- a test's fault
            raise Refused(*REFUSALS[self.refuse])

    def check_streams(self, there_are: int) -> None:
        """Raise Refused if there is no room for one more subscription."""
        if self.streams is not None and there_are >= self.streams:
            raise Refused(*REFUSALS["connections"])

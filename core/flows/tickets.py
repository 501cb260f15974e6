"""Tickets: what opens event streams where no header can be sent.

An EventSource sends no Authorization header and comes back to the address it was opened with, so
its credential stands in that address. A ticket therefore opens the named streams of one tenant
for reading, an hour long, and nothing else. It is

    tenant.subject.expires.flow~flow.mac

where `subject` is escaped (`core.identity.escaped`), `expires` is in seconds since 1970 and `mac` the HMAC-SHA256, in base64url, of all before it
under a key that is derived from a token key: no ticket is a token, and no token a ticket. Any of
the live keys verifies, so tickets outlive a rotation as tokens do.
"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence

from core.errors import UnauthenticatedError
from core.identity import FLOWS_READ, ID, Keys, Principal, escaped, unescaped

TTL_SECONDS = 3600
FLOWS = 20  # in one ticket
PURPOSE = b"crewline ticket 1"  # has spaces: no part of a JWT could be mistaken for it
CHARACTERS = 2048  # enough for the longest names
TICKET = re.compile(
    rf"(?P<signed>(?P<tenant>{ID.pattern})\.(?P<subject>[A-Za-z0-9_~-]{{1,384}})\.(?P<expires>[0-9]{{1,12}})"
    rf"\.(?P<flows>{ID.pattern}(?:~{ID.pattern}){{0,{FLOWS - 1}}}))\.(?P<mac>[A-Za-z0-9_-]{{43}})"
)


def issue(keys: Keys, who: Principal, flows: Sequence[str], now: int) -> str:
    """Return a ticket for the streams of at most `FLOWS` flows, in this order."""
    signed = f"{who.tenant}.{escaped(who.subject)}.{now + TTL_SECONDS}.{'~'.join(flows)}"
    return f"{signed}.{_mac(next(iter(keys.live.values())), signed)}"


def verify(ticket: str, keys: Keys, now: int) -> Principal:
    """Return who brings this ticket: one who may read its flows alone.

    `now` is in seconds since 1970. Raises UnauthenticatedError.
    """
    match = TICKET.fullmatch(ticket) if len(ticket) <= CHARACTERS else None
    if match is None or not _signed(match["signed"], match["mac"], keys):
        raise UnauthenticatedError("the ticket is not one for this service")
    if now >= int(match["expires"]):
        raise UnauthenticatedError("the ticket has expired")
    flows = tuple(match["flows"].split("~"))
    return Principal(match["tenant"], unescaped(match["subject"]), frozenset({FLOWS_READ}), flows)


def _signed(signed: str, mac: str, keys: Keys) -> bool:
    """Tell whether one of the live keys made this; nothing is learnt from how long it takes."""
    return any(hmac.compare_digest(mac, _mac(key, signed)) for key in keys.live.values())


def _mac(secret: str, signed: str) -> str:
    key = hmac.digest(secret.encode(), PURPOSE, hashlib.sha256)
    mac = hmac.digest(key, signed.encode(), hashlib.sha256)
    return urlsafe_b64encode(mac).decode().rstrip("=")

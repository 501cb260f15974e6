"""Where webhooks may go: only to origins that the deployment lists for the tenant.

A URL comes from a request, so it is not trusted: without a list nothing is called. An entry is

- `hooks.example.com` or `hooks.example.com:8443`: that host over https, on that port, as long as
  all of its addresses are public;
- `http://127.0.0.1:9000` or `https://localhost:9000`: exactly this origin, for local runs. It alone
  may be plain http, and it may lie in a private network or on this machine.

Addresses are judged when a name was resolved for a connection, which then goes to what was judged:
a name that means something else the next moment gains nothing. Link-local addresses, where clouds
keep their metadata, are refused whatever is listed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from core.config import WEBHOOK_HOST
from core.errors import InvalidInputError

URL = re.compile(r"[!-\[\]-~]{1,2048}")  # printable ASCII without spaces and backslashes
PORTS = {"https": 443, "http": 80}

REFUSED = (
    "must be an https address on a host, or a local origin, that this deployment lists for your tenant"
    " (CREWLINE_WEBHOOK_HOSTS)"
)
Origin = tuple[str, str, int]  # scheme, host, port


@dataclass(frozen=True, slots=True)
class Target:
    """Where one POST goes. A `local` one may lie in a private network."""

    scheme: str
    host: str
    port: int
    path: str  # with the query
    local: bool = False


class Targets:
    """The origins of each tenant, from entries as above. Raises ValueError for what is none."""

    def __init__(self, entries: Mapping[str, Sequence[str]]) -> None:
        self._allowed = {
            tenant: dict(_origin(entry) for entry in listed) for tenant, listed in entries.items()
        }

    def target(self, tenant: str, url: str) -> Target:
        """Return where a URL leads. Raises InvalidInputError if the tenant may not call it."""
        (scheme, host, port), path = _split(url)
        local = self._allowed.get(tenant, {}).get((scheme, host, port))
        if local is None:
            raise InvalidInputError(REFUSED)
        return Target(scheme, host, port, path, local)

    def check(self, tenant: str, urls: Mapping[str, str]) -> None:
        """Raise InvalidInputError that names the pointers whose URLs the tenant may not call."""
        wrong = {pointer: REFUSED for pointer, url in urls.items() if not self._may(tenant, url)}
        if wrong:
            raise InvalidInputError("a webhook cannot be called", wrong)

    def _may(self, tenant: str, url: str) -> bool:
        try:
            self.target(tenant, url)
        except InvalidInputError:
            return False
        return True


def _origin(entry: str) -> tuple[Origin, bool]:
    """Return the origin that an entry means, and whether it is a local one."""
    match = WEBHOOK_HOST.fullmatch(entry.lower())
    if match is None:
        raise ValueError(f"{entry} is neither a host nor a local origin")
    scheme, host = match["scheme"] or "https", match["host"].strip("[]")
    port = int(match["port"]) if match["port"] else PORTS[scheme]
    return (scheme, host, port), match["scheme"] is not None


def _split(url: str) -> tuple[Origin, str]:
    """Return the origin and the path of a URL. Raises InvalidInputError for what is none of ours."""
    if not URL.fullmatch(url):
        raise InvalidInputError(REFUSED)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInputError(REFUSED) from error
    if parts.scheme not in PORTS or not parts.hostname or "@" in parts.netloc or "#" in url:
        raise InvalidInputError(REFUSED)
    origin = (parts.scheme, parts.hostname, PORTS[parts.scheme] if port is None else port)
    return origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

r"""Seals: what lies in the object store is believed only under a MAC of ours, checked before it is read.

    crewline-seal 1 KID MAC\n   then the bytes

MAC is HMAC-SHA256 over the format, what kind of thing it is, whose it is, its name, and the bytes, each
with its length: so a model of one tenant is none of another, an older version none of a newer one, and a
model no pointer. The first of the live keys seals, each of them opens: to replace a key, put the new
one in front, and take the old one away when all that it sealed was written again.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

MAGIC = b"crewline-seal"
FORMAT = b"1"
HEADER_BYTES = 256


class UnsealedError(ValueError):
    """This was not sealed by us as what it is said to be; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is sealed: its kind (`model`, `pointer`, `segment`), whose it is, and its name."""

    kind: str
    tenant: str
    task: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class SealKeys:
    """Secrets by key id, two while they are rotated; the first one seals."""

    live: Mapping[str, str] = field(repr=False)

    def seal(self, label: Label, data: bytes) -> bytes:
        """Return the data with its seal in front."""
        kid, secret = next(iter(self.live.items()))
        header = b" ".join((MAGIC, FORMAT, kid.encode(), _mac(secret, label, data).encode()))
        return header + b"\n" + data

    def open(self, label: Label, sealed: bytes) -> bytes:
        """Return the data. Raises UnsealedError."""
        header, ended, data = sealed[:HEADER_BYTES].partition(b"\n")
        magic, *rest = header.split(b" ")
        if not ended or magic != MAGIC or len(rest) != 3:  # noqa: PLR2004  # as in the form above
            raise UnsealedError("it has no seal")
        seal_format, kid, mac = rest
        if seal_format != FORMAT:
            raise UnsealedError("its seal is of another version")
        secret = self.live.get(kid.decode("ascii", "replace"))
        if secret is None:
            raise UnsealedError("it is sealed with a key that is not live")
        data = sealed[len(header) + 1 :]
        if not hmac.compare_digest(mac, _mac(secret, label, data).encode()):
            raise UnsealedError("its seal does not fit: it was changed, cut, or is something else")
        return data


def _mac(secret: str, label: Label, data: bytes) -> str:
    names = (label.kind, label.tenant, label.task, label.name)
    mac = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for part in (FORMAT, *(name.encode() for name in names), data):
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return mac.hexdigest()

"""Upstash's script flag on servers that do not know it.

`#!lua flags=allow-key-locking` lets Upstash lock only a script's declared keys; stock servers refuse
the script. The flag alone is taken out: with `#!lua` kept, a cluster also refuses keys of another
slot that were not declared. A script with `#!lua` runs under EVAL_RO only with the flag `no-writes`,
which is put in there. Clients name a script by the SHA1 of the text *they* have, so that name is
translated.
"""

import hashlib
import re
from collections import OrderedDict

from infra.local.gateway.commands import name_of
from infra.local.gateway.resp import Command

_SHEBANG = re.compile(rb"#!lua\s+flags=([^\s]*)")
_FLAG = b"allow-key-locking"
_READ_WRITE = b""
_READ_ONLY = b"no-writes"
_BY_TEXT = {b"EVAL": _READ_WRITE, b"EVAL_RO": _READ_ONLY}
_BY_SHA = {b"EVALSHA": _READ_WRITE, b"EVALSHA_RO": _READ_ONLY}
_SCRIPT = b"SCRIPT"
_SCRIPT_LOAD_WORDS = 3


class Scripts:
    """Remembers the last `limit` scripts whose flag was taken out."""

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._stored_as: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()

    def rewrite(self, command: Command) -> Command:
        """Return the command as a stock server takes it; most come back as they are."""
        name = name_of(command)
        if name in _BY_TEXT and len(command) > 1:
            return [command[0], self._strip(command[1], _BY_TEXT[name]), *command[2:]]
        if name in _BY_SHA and len(command) > 1:
            return [command[0], self._translate(command[1], _BY_SHA[name]), *command[2:]]
        return self._rewrite_script(command) if name == _SCRIPT else command

    def _rewrite_script(self, command: Command) -> Command:
        """SCRIPT LOAD text, SCRIPT EXISTS sha..."""
        subcommand = b"".join(command[1:2]).upper()
        if subcommand == b"LOAD" and len(command) == _SCRIPT_LOAD_WORDS:
            return [*command[:2], self._strip(command[2], _READ_WRITE)]
        if subcommand == b"EXISTS":
            return [*command[:2], *(self._translate(sha, _READ_WRITE) for sha in command[2:])]
        return command

    def _strip(self, text: bytes, access: bytes) -> bytes:
        stored = without_key_locking(text, access)
        if stored != text:
            self._remember((_sha1(text), access), _sha1(stored))
        return stored

    def _remember(self, asked_for: tuple[bytes, bytes], stored: bytes) -> None:
        self._stored_as[asked_for] = stored
        self._stored_as.move_to_end(asked_for)
        if len(self._stored_as) > self._limit:
            self._stored_as.popitem(last=False)

    def _translate(self, sha: bytes, access: bytes) -> bytes:
        """Leave a script stored for the other access unknown: on NOSCRIPT a client sends the text."""
        return self._stored_as.get((sha.lower(), access), sha)


def without_key_locking(text: bytes, access: bytes = _READ_WRITE) -> bytes:
    """Put `access` in the place of the flag in a script's first line; the rest stays."""
    shebang = _SHEBANG.match(text)
    if shebang is None or _FLAG not in (flags := shebang[1].split(b",")):
        return text
    kept = {flag: None for flag in (*flags, access) if flag not in (_FLAG, b"")}
    return b"#!lua" + (b" flags=" + b",".join(kept) if kept else b"") + text[shebang.end() :]


def _sha1(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()

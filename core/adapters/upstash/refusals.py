"""What Upstash's refusals mean: which pass, which are the operator's to mend, which are our fault.

Nearly all begin with `ERR` and come with HTTP 400 (a few were seen with 200 or 429), so their text
decides. Source: https://upstash.com/docs/redis/troubleshooting, and the messages as its users
report them. Raised inside a script, the text stands within the script's error.

A refusal that nobody has listed is taken for one that passes, and is written down: a new quota must
not end a worker. What is listed as our fault stays an error, as no waiting would mend it.
"""

import logging
import re
import time
from dataclasses import dataclass
from typing import ClassVar

from core.errors import TooLargeError, UnavailableError

log = logging.getLogger(__name__)

MINUTE = 60
LOG_EVERY_SECONDS = 60.0
REPLY_CHARACTERS = 300
# Patterns are compiled by the first refusal, and kept by `re`: every cold start would pay for them.
_QUOTED = r"""(?s)(?<!\w)(['"`]).*?(\1|$)|[\[{].*"""


class CommandError(Exception):
    """Redis understood the command and refused it, by our fault; `code` is its first word."""

    loggable: ClassVar[bool] = True

    def __init__(self, message: str) -> None:
        super().__init__(_without_values(message))
        self.code = message.split(" ", 1)[0]


@dataclass(frozen=True, slots=True)
class Passing:
    """A refusal that is over one day. `operator`: only when somebody does something about it."""

    pattern: str
    lasts_seconds: int = 0
    operator: bool = False

    def says(self, message: str) -> bool:
        """Tell whether an error is this, also where a script met it."""
        pattern = rf"(ERR Error running script.*?: )?({self.pattern})\b"
        return re.match(pattern, message) is not None


TOO_LARGE = r"ERR max (request|single record|key|field|member) size exceeded"
PASSING = (
    Passing(r"ERR max daily request limit exceeded", MINUTE, operator=True),
    Passing(r"ERR max requests limit exceeded", MINUTE, operator=True),  # of the month
    Passing(r"ERR DB capacity quota exceeded", MINUTE, operator=True),  # writes; reads go on
    Passing(r"ERR max concurrent connections exceeded", 5),
    Passing(r"WRONGPASS|NOAUTH|NOPERM", 10, operator=True),  # while the token is rotated
    Passing(r"OOM|READONLY|LOADING|BUSY|TRYAGAIN|MASTERDOWN|CLUSTERDOWN|UNKILLABLE"),
)
OUR_FAULT = (
    r"(?i)(NOSCRIPT|WRONGTYPE|CROSSSLOT|EXECABORT|NOGROUP)\b"
    r"|ERR (wrong number of arguments|unknown|syntax error|Command is not available|failed to parse"
    r"|invalid|value is not|expected|increment|.*(not an integer|not a float|not a valid|out of range)"
    r"|The ID specified|Number of keys|no such key|Protocol error)"
    r"|.*(user_script|@user_function|running script|compiling script|script: [0-9a-f]{40})"
)
_logged_at: dict[str, float] = {}


def error_from_reply(message: str) -> CommandError | TooLargeError | UnavailableError:
    """Return what an `{"error": message}` reply means."""
    if re.search(TOO_LARGE, message):
        return TooLargeError("this is larger than the store takes in one piece")
    row = next((row for row in PASSING if row.says(message)), None)
    if row is None and re.match(OUR_FAULT, message):
        return CommandError(message)
    if row is None or row.operator:
        _log_once(message)
    return UnavailableError(
        "the store refuses for now", lasts_seconds=0 if row is None else row.lasts_seconds
    )


def _log_once(message: str) -> None:
    """Write a refusal down that somebody has to do something about; not at each command."""
    kind = re.sub(r"\d+", "N", message)
    now = time.monotonic()
    if now - _logged_at.get(kind, -LOG_EVERY_SECONDS) >= LOG_EVERY_SECONDS:
        _logged_at[kind] = now
        reply = {"reply": _without_values(message)}
        log.error("the store refuses, and will until somebody sees to it", extra=reply)


def _without_values(message: str) -> str:
    """Return a reply without what it quotes: a command's arguments may be a prompt or an answer."""
    return re.sub(_QUOTED, "...", message)[:REPLY_CHARACTERS]

"""Prefer: wait=N -- how long a client would have its answer held (RFC 7240)."""

import re

FIELD_CHARACTERS = 512  # a longer one is not looked at
TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = r'"(?:[^"\\]|\\.)*"'
MEMBER = re.compile(rf'(?:[^",]|{QUOTED})+')
PREFERENCE = re.compile(rf"[ \t]*({TCHARS})[ \t]*(?:=[ \t]*({TCHARS}|{QUOTED})?[ \t]*)?(?:;.*)?")
SECONDS = re.compile(r"[0-9]{1,9}")


def wait_seconds(field: str) -> int | None:
    """Return what the first `wait` of a Prefer field asks for; None if there is none, or no number.

    Several lines of the header are joined by commas. Members that are malformed are passed over.
    """
    if len(field) > FIELD_CHARACTERS:
        return None
    members = (PREFERENCE.fullmatch(member) for member in MEMBER.findall(field))
    asked = next((m[2] for m in members if m and m[1].lower() == "wait"), None)
    value = re.sub(r"\\(.)", r"\1", (asked or "").strip('"'))
    return int(value) if SECONDS.fullmatch(value) else None

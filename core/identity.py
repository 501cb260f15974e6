"""Identity: who is asking, told by a signed token that every request brings.

A token is a JWT under one of at most two live HS256 keys, found by its key id in our own mapping
and nowhere else. (Those that an OIDC issuer signs are `core.issuer`'s.) There is no list of revoked tokens, so none may live longer than a day: taking a
key out of the settings ends at once all that it signed. What a token said is remembered while it
is valid, since checking a signature costs more than the rest of a poll.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from core.errors import InvalidInputError, UnauthenticatedError

FLOWS_READ = "flows:read"
FLOWS_WRITE = "flows:write"
FLOWS_APPROVE = "flows:approve"  # to answer a flow that waits for a person
INPUTS_WRITE = "inputs:write"
CREWS_READ = "crews:read"
COSTS_READ = "costs:read"
COSTS_WRITE = "costs:write"  # to report calls that were made elsewhere
BUDGETS_WRITE = "budgets:write"
FEEDBACK_WRITE = "feedback:write"
RECOMMENDATIONS_READ = "recommendations:read"
LEARNING_READ = "learning:read"
LEARNING_WRITE = "learning:write"  # to forget feedback, and to go back to an earlier model
SCOPES = frozenset({
    FLOWS_READ, FLOWS_WRITE, FLOWS_APPROVE, INPUTS_WRITE, CREWS_READ, COSTS_READ, COSTS_WRITE,
    BUDGETS_WRITE, FEEDBACK_WRITE, RECOMMENDATIONS_READ, LEARNING_READ, LEARNING_WRITE,
})  # fmt: skip

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # of tenants and flows
# Of subjects, such as `ann@example.com` and `auth0|abc`: visible ASCII. Alone, `*`, `-` and `~` stand for
# everybody, nobody and what is summed without a name.
SUBJECT = re.compile(r"[!-~]{2,128}|[!-)+,.-}]")
SUBJECT_RULE = "must have 1 to 128 visible ASCII characters, and not be *, - or ~ alone"
AUDIENCE = "crewline"
ALGORITHM = "HS256"
LEEWAY_SECONDS = 30  # by which the issuer's clock may differ from ours
LIFETIME_SECONDS = 24 * 3600
REMEMBERED = 1024  # tokens

# Times are checked here, against the caller's clock, and not by the library against its own.
_OPTIONS: Any = {
    "require": ["exp", "iat", "sub", "aud", "tenant"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


def escaped(subject: str) -> str:
    """Return a subject in letters, digits, `_`, `-`, and `~` with two hex digits for each other character.

    For places where others are separators; `unescaped` is the way back.
    """
    return re.sub(r"[^A-Za-z0-9_-]", lambda found: f"~{ord(found[0]):02X}", subject)


def unescaped(text: str) -> str:
    """Return the subject that `escaped` made this of, or a script that escapes fewer characters."""
    return re.sub(r"~([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), text)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, for which tenant, and what they may do.

    `flows` are those whose streams a ticket opens (`core.flows.tickets`); None for the holder of a token,
    who may do what the scopes say to all flows of the tenant.
    """

    tenant: str
    subject: str
    scopes: frozenset[str]
    flows: tuple[str, ...] | None = None


class Verified(dict[str, tuple[Principal, int]]):
    """Tokens that were verified before: whose each is, and when it expires."""

    def keep(self, token: str, principal: Principal, expires: int) -> None:
        """Keep the result of a verification; the oldest makes room."""
        while len(self) >= REMEMBERED:
            del self[next(iter(self))]
        self[token] = (principal, expires)


@dataclass(frozen=True, slots=True)
class Keys:
    """The live keys by key id, two while they are rotated; the first one signs."""

    live: Mapping[str, str] = field(repr=False)
    _verified: Verified = field(default_factory=Verified, init=False, repr=False, compare=False)

    def known(self, token: str) -> tuple[Principal, int] | None:
        """Return whose token this is and when it expires, if it was verified before."""
        return self._verified.get(token)

    def remember(self, token: str, principal: Principal, expires: int) -> None:
        """Keep the result of a verification."""
        self._verified.keep(token, principal, expires)


def verify(token: str, keys: Keys, now: int) -> Principal:
    """Return who brings this token. `now` is in seconds since 1970.

    Raises UnauthenticatedError; why is told only for a token that we did sign.
    """
    known = keys.known(token)
    if known is None:
        claims = _claims(token, keys)
        known = _principal(claims), expiry(claims, now)
        keys.remember(token, *known)
    return unexpired(known, now)


def unexpired(known: tuple[Principal, int], now: int) -> Principal:
    """Return whose token this is. Raises UnauthenticatedError if its time is over."""
    principal, expires = known
    if now >= expires + LEEWAY_SECONDS:
        raise UnauthenticatedError("the token has expired")
    return principal


def _claims(token: str, keys: Keys) -> dict[str, Any]:
    """Return what one of our keys has signed for this service."""
    try:
        secret = keys.live[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(
            token, secret, algorithms=[ALGORITHM], audience=AUDIENCE, options=_OPTIONS
        )
    except (jwt.PyJWTError, KeyError, ValueError, RecursionError) as error:
        raise UnauthenticatedError("the token is not one that this service has signed") from error


def _principal(claims: dict[str, Any]) -> Principal:
    tenant, subject, scope = claims["tenant"], claims["sub"], claims.get("scope", "")
    if not isinstance(tenant, str) or not ID.fullmatch(tenant):
        raise UnauthenticatedError(f"the token's tenant must match {ID.pattern}")
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
        raise UnauthenticatedError(f"the token's sub {SUBJECT_RULE}")
    if not isinstance(scope, str):
        raise UnauthenticatedError("the token's scope must be words with spaces between them")
    return Principal(tenant, subject, frozenset(scope.split()))


def expiry(claims: dict[str, Any], now: int) -> int:
    """Return the end of a token whose time has begun and is no longer than is allowed.

    Raises UnauthenticatedError.
    """
    issued, expires = claims["iat"], claims["exp"]
    begins = claims.get("nbf", issued)
    if not all(type(time) is int for time in (issued, expires, begins)):
        raise UnauthenticatedError("the token's times must be whole seconds")
    if max(issued, begins) > now + LEEWAY_SECONDS:
        raise UnauthenticatedError("the token is not valid yet")
    if expires - issued > LIFETIME_SECONDS:
        raise UnauthenticatedError("the token lives longer than a day")
    return expires


def mint(
    keys: Keys, tenant: str, subject: str, scopes: Iterable[str], *, ttl_seconds: int, now: int
) -> str:
    """Return a token good for `ttl_seconds`, at most a day. Raises InvalidInputError."""
    asked = set(scopes)
    if not ID.fullmatch(tenant):
        raise InvalidInputError(f"a tenant must match {ID.pattern}")
    if not SUBJECT.fullmatch(subject):
        raise InvalidInputError(f"a subject {SUBJECT_RULE}")
    if unknown := sorted(asked - SCOPES):
        raise InvalidInputError(f"no such scope: {unknown}; there are: {sorted(SCOPES)}")
    if not 0 < ttl_seconds <= LIFETIME_SECONDS:
        raise InvalidInputError(f"a token lives from 1 to {LIFETIME_SECONDS} seconds")
    kid, secret = next(iter(keys.live.items()))
    claims = {
        "tenant": tenant,
        "sub": subject,
        "aud": AUDIENCE,
        "scope": " ".join(sorted(asked)),
        "iat": now,
        "exp": now + ttl_seconds,
    }
    return jwt.encode(claims, secret, ALGORITHM, headers={"kid": kid})

"""An OIDC issuer: tokens that somebody else signs, checked with the keys that it publishes.

Its address, the algorithms and the claims come from the settings; of what a token says of itself only
the key id is used, to find a key among those that are published. These are kept for ten minutes, and
fetched at most once a minute, however many tokens name keys that nobody knows. While they
cannot be fetched the last good ones serve on, for a day.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import jwt

from core.config import Oidc
from core.errors import UnauthenticatedError, UnavailableError
from core.identity import ID, SUBJECT, Principal, Verified, expiry, unexpired

log = logging.getLogger(__name__)

FRESH_SECONDS = 600  # after which a key that was withdrawn signs nobody in any more
RETRY_SECONDS = 60  # between two fetches
FIRST_RETRY_SECONDS = 5  # while there are no keys at all
LAST_GOOD_SECONDS = 24 * 3600  # as long as a token may live
RSA_BITS = 2048  # RFC 7518, 3.3
DIGESTED = "oidc_"  # begins the names of subjects that cannot be subjects here


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key, and the only algorithm that it is for, where the issuer says so."""

    key: Any
    algorithm: str | None


class Issuer:
    """Verifies the tokens of one issuer. Times are in seconds since 1970.

    `fetch` returns its JWKS document (RFC 7517), or raises UnavailableError. `trouble` says why the last
    fetch failed; "" if it did not.
    """

    def __init__(self, trusted: Oidc, fetch: Callable[[], Awaitable[bytes]]) -> None:
        self.trouble = ""
        self._trusted = trusted
        self._fetch = fetch
        self._keys: dict[str, PublicKey] = {}
        self._verified = Verified()
        self._fetched = self._tried = 0
        self._fetching: asyncio.Task[None] | None = None

    @property
    def has_keys(self) -> bool:
        """Tell whether there are keys to check a token with."""
        return bool(self._keys)

    def is_meant(self, token: str) -> bool:
        """Tell whether a token is for these keys to check, by its algorithm; ours are HS256."""
        return token in self._verified or _header(token).get("alg") in self._trusted.algorithms

    async def verify(self, token: str, now: int) -> Principal:
        """Return who brings this token.

        Raises UnauthenticatedError; UnavailableError while there are no keys.
        """
        known = self._verified.get(token)
        key_id = None if known else _header(token).get("kid")
        await self._refresh(key_id, now)
        known = self._verified.get(token)  # forgotten if the keys are others now
        if known is None:
            claims = self._claims(token)
            known = self._principal(claims), expiry(claims, now)
            self._verified.keep(token, *known)
        return unexpired(known, now)

    async def _refresh(self, key_id: Any, now: int) -> None:
        """Fetch the keys if they are old or lack this one, and if it was not tried just now."""
        lacks = not self._keys or (key_id is not None and key_id not in self._keys)
        pause = RETRY_SECONDS if self._keys else FIRST_RETRY_SECONDS
        is_due = lacks or abs(now - self._fetched) >= FRESH_SECONDS
        if is_due and abs(now - self._tried) >= pause:
            self._tried = now
            self._fetching = asyncio.create_task(self._renew(now))
            await asyncio.shield(self._fetching)  # others wait for it, too
        elif lacks and (fetching := self._fetching) and _is_running_here(fetching):
            await asyncio.shield(fetching)
        if self._keys and abs(now - self._fetched) >= LAST_GOOD_SECONDS:
            self._put({})

    async def _renew(self, now: int) -> None:
        try:
            keys = dict(_public_keys(await self._fetch()))
            if not keys:
                raise UnavailableError("the token issuer publishes no key that can be used")  # noqa: TRY301 -- as any failure
        except UnavailableError as error:
            self.trouble = str(error)
            log.warning("the keys of the token issuer were not fetched", extra={"why": str(error)})
            return
        self.trouble, self._fetched = "", now
        self._put(keys)

    def _put(self, keys: dict[str, PublicKey]) -> None:
        """Take these keys. A token of one that is gone is a stranger's again."""
        if not self._keys.items() <= keys.items():
            self._verified.clear()
        self._keys = keys

    def _claims(self, token: str) -> dict[str, Any]:
        """Return what one of the keys has signed for this service."""
        if not self._keys:
            raise UnavailableError("the keys of the token issuer cannot be fetched", 5)
        key_id, trusted = _header(token).get("kid"), self._trusted
        key = self._keys.get(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise UnauthenticatedError("the issuer has no such key; a new one takes up to a minute")
        allowed = [name for name in trusted.algorithms if key.algorithm in (None, name)]
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=allowed,
                audience=trusted.audience,
                issuer=trusted.issuer,
                options=_OPTIONS,
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            reason = "the token is not one that its issuer has signed for this service"
            raise UnauthenticatedError(reason) from error

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        trusted = self._trusted
        tenant, subject = claims.get(trusted.tenant_claim), claims.get(trusted.subject_claim)
        if not isinstance(tenant, str) or not ID.fullmatch(tenant):
            raise UnauthenticatedError("the claim of the tenant must be 1 to 64 of A-Za-z0-9_-")
        if not isinstance(subject, str) or not subject:
            raise UnauthenticatedError("the token must name a subject")
        return Principal(tenant, _subject(subject), _scopes(claims.get(trusted.scopes_claim, "")))


# Times are checked by `expiry`, against the caller's clock.
_OPTIONS: Any = {
    "require": ["exp", "iat", "aud", "iss"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


def _is_running_here(task: asyncio.Task[None]) -> bool:
    return not task.done() and task.get_loop() is asyncio.get_running_loop()


def _header(token: str) -> dict[str, Any]:
    """Return what a token says of itself, which nobody has checked; {} if it is none."""
    try:
        return jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}


def _public_keys(document: bytes) -> Iterator[tuple[str, PublicKey]]:
    """Yield the keys of a JWKS document by their ids, but for those that sign no tokens of this kind.

    Raises UnavailableError if it is none.
    """
    try:
        listed = json.loads(document)["keys"]
        found = cast("list[Any]", listed if isinstance(listed, list) else [])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnavailableError("the token issuer's keys are no JWKS document") from error
    for jwk in found:
        if isinstance(jwk, dict) and (key := _public_key(cast("dict[str, Any]", jwk))):
            yield jwk["kid"], key


def _public_key(jwk: dict[str, Any]) -> PublicKey | None:
    if jwk.get("use", "sig") != "sig" or jwk.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    if not isinstance(jwk.get("kid"), str):
        return None
    try:
        key = jwt.PyJWK(jwk).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None  # of a kind that this version does not know
    if jwk["kty"] == "RSA" and key.key_size < RSA_BITS:
        return None
    return PublicKey(key, jwk.get("alg"))


def _subject(name: str) -> str:
    """Return the name of a subject: itself, or where that cannot be one, what no other is digested to."""
    if SUBJECT.fullmatch(name) and not name.startswith(DIGESTED):
        return name
    return DIGESTED + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:40]


def _scopes(claim: Any) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset(claim.split())
    listed = cast("list[Any]", claim) if isinstance(claim, list) else [None]
    words = [word for word in listed if isinstance(word, str)]
    if len(words) < len(listed):
        raise UnauthenticatedError("the claim of the scopes must be words, or a list of words")
    return frozenset(words)

"""Whom the tokens of an OIDC issuer let in, and what becomes of them when its keys change or are out of reach."""

import asyncio
import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.config import Oidc, Settings, SettingsError
from core.errors import UnauthenticatedError, UnavailableError
from core.identity import LEEWAY_SECONDS, Principal
from core.issuer import (
    FIRST_RETRY_SECONDS,
    FRESH_SECONDS,
    LAST_GOOD_SECONDS,
    RETRY_SECONDS,
    Issuer,
)

ENVIRON = {
    "UPSTASH_REDIS_REST_URL": "https://x.upstash.io",
    "UPSTASH_REDIS_REST_TOKEN": "t",
    "CREWLINE_BUCKET": "b",
    "CREWLINE_JWT_KEYS": f"k:{'s3cr-t0k' * 4}",
}
NOW = 1_800_000_000
URL = "https://login.example.com/"
TRUSTED = Oidc(URL, f"{URL}jwks")
OLD, NEW = (rsa.generate_private_key(65537, 2048) for _ in range(2))
SHORT = rsa.generate_private_key(65537, 1024)  # noqa: S505 -- to be refused
CURVE = ec.generate_private_key(ec.SECP256R1())
CLAIMS = {"iss": URL, "aud": "crewline", "sub": "ann", "tenant": "acme", "scope": "flows:read",
          "iat": NOW, "exp": NOW + 3600}  # fmt: skip


def jwk(key: Any, kid: str, **changes: Any) -> dict[str, Any]:
    kind = jwt.algorithms.RSAAlgorithm if hasattr(key, "decrypt") else jwt.algorithms.ECAlgorithm
    public: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)
    return public | {"kid": kid, "use": "sig"} | changes


def signed(
    key: Any = OLD, kid: Any = "old", algorithm: str = "RS256", *, now: int = NOW, **changes: Any
) -> str:
    claims = CLAIMS | {"iat": now, "exp": now + 3600} | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": kid} if kid else {})


class Published:
    """An issuer's document, which counts how often it is fetched."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.keys, self.fetches, self.fails = keys, 0, False

    async def __call__(self) -> bytes:
        self.fetches += 1
        await asyncio.sleep(0)
        if self.fails:
            raise UnavailableError("the token issuer cannot be reached")
        return json.dumps({"keys": self.keys}).encode()


def published() -> Published:
    return Published(jwk(OLD, "old"))


def by_hand(algorithm: str, secret: bytes) -> str:
    """A token under a secret that is no secret, which the library would not make."""
    parts = ({"alg": algorithm, "kid": "old"}, CLAIMS)
    head = b".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts
    )
    mac = hmac.new(secret, head, hashlib.sha256).digest()
    return f"{head.decode()}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


async def test_a_token_of_the_issuer_says_who_it_was_signed_for():
    issuer, token = Issuer(TRUSTED, published()), signed()
    assert issuer.is_meant(token)
    who = await issuer.verify(token, NOW)
    assert who == Principal("acme", "ann", frozenset({"flows:read"}))
    assert who is await issuer.verify(token, NOW + 1)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(NEW), id="another key under this id"),
        pytest.param(signed(kid="gone"), id="a key id of nobody"),
        pytest.param(signed(kid=None), id="no key id"),
        pytest.param(signed(algorithm="RS512"), id="an algorithm that is not in the settings"),
        pytest.param(by_hand("none", b""), id="no algorithm"),
        pytest.param(
            by_hand("HS256", OLD.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
            id="the public key for a secret",
        ),
        pytest.param(signed(CURVE, "curve", "ES256"), id="a curve where RSA is in the settings"),
        pytest.param(signed(SHORT, "short"), id="a key that is too short"),
        pytest.param(signed(iss="https://login.example.com"), id="another issuer, by a slash"),
        pytest.param(signed(iss=None), id="no issuer"),
        pytest.param(signed(aud="elsewhere"), id="another service"),
        pytest.param(signed(aud=None), id="no service"),
        pytest.param(signed(sub=None), id="no subject"),
        pytest.param(signed(tenant=None), id="no tenant"),
        pytest.param(signed(tenant="a/b"), id="a tenant that breaks out of its key"),
        pytest.param(signed(tenant=["acme"]), id="a list of tenants"),
        pytest.param(signed(scope=7), id="a number for scopes"),
        pytest.param(signed(scope=["flows:read", 7]), id="a number among scopes"),
        pytest.param(signed(exp=None), id="no end"),
        pytest.param(signed(iat=None), id="no beginning"),
        pytest.param(signed(exp=NOW - LEEWAY_SECONDS), id="expired"),
        pytest.param(signed(nbf=NOW + 60), id="not valid yet"),
        pytest.param(signed(exp=NOW + 25 * 3600), id="longer than a day"),
        pytest.param("a.b.c", id="rubbish"),
    ],
)  # fmt: skip
async def test_a_token_that_is_not_quite_right_lets_nobody_in(token: str):
    keys = (jwk(OLD, "old"), jwk(CURVE, "curve"), jwk(SHORT, "short"))
    with pytest.raises(UnauthenticatedError) as refused:
        await Issuer(TRUSTED, Published(*keys)).verify(token, NOW)
    assert len(str(refused.value)) < 80


async def test_of_what_is_published_only_keys_that_sign_tokens_are_taken():
    secret = {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode(), "kid": "secret"}
    strange = [{"kty": "RSA", "kid": "broken"}, {"kty": "moon", "kid": "m"}, 7, {"kty": "RSA"}]
    keys = [secret, jwk(OLD, "enc", use="enc"), *strange, jwk(NEW, "new")]
    issuer = Issuer(replace(TRUSTED, algorithms=("RS256", "ES256")), Published(*keys))
    assert await issuer.verify(signed(NEW, "new"), NOW)
    for kid in ("secret", "enc", "broken", "m"):
        with pytest.raises(UnauthenticatedError, match="no such key"):
            await issuer.verify(signed(OLD, kid), NOW)


async def test_a_key_is_for_the_algorithm_that_the_issuer_publishes_with_it():
    both = replace(TRUSTED, algorithms=("RS256", "RS512", "ES256"))
    issuer = Issuer(both, Published(jwk(OLD, "old", alg="RS512"), jwk(CURVE, "curve")))
    assert await issuer.verify(signed(algorithm="RS512"), NOW)
    assert await issuer.verify(signed(CURVE, "curve", "ES256"), NOW)
    with pytest.raises(UnauthenticatedError):
        await issuer.verify(signed(), NOW)


async def test_the_settings_say_which_claims_name_tenant_subject_and_scopes():
    named = replace(TRUSTED, tenant_claim="https://x/org", subject_claim="oid", scopes_claim="scp")
    token = signed(oid="bob", scp=["flows:read", "costs:read"], **{"https://x/org": "org_1"})
    who = await Issuer(named, published()).verify(token, NOW)
    assert who == Principal("org_1", "bob", frozenset({"flows:read", "costs:read"}))


@pytest.mark.parametrize("name", ["auth0|7", "ann@example.com", "a" * 128])
async def test_a_subject_is_called_what_its_issuer_calls_it(name: str):
    assert (await Issuer(TRUSTED, published()).verify(signed(sub=name), NOW)).subject == name


async def test_what_cannot_be_a_subject_gets_a_name_that_no_other_subject_can_have():
    issuer, names = Issuer(TRUSTED, published()), ["ann b\u00f6ll", "*", "a" * 129]
    ids = [(await issuer.verify(signed(sub=name), NOW)).subject for name in names]
    ids += [(await issuer.verify(signed(sub=name), NOW)).subject for name in list(ids)]
    assert len(set(ids)) == 6
    assert all(subject.startswith("oidc_") and len(subject) <= 64 for subject in ids)


async def test_an_unknown_key_id_is_looked_for_at_once_but_at_most_once_a_minute():
    document = published()
    issuer = Issuer(TRUSTED, document)
    await issuer.verify(signed(), NOW)
    document.keys = (jwk(OLD, "old"), jwk(NEW, "new"))
    later = NOW + RETRY_SECONDS
    assert await issuer.verify(signed(NEW, "new", now=later), later)
    for number in range(50):
        with pytest.raises(UnauthenticatedError):
            await issuer.verify(signed(NEW, f"stranger {number}", now=later), later + 1)
    assert document.fetches == 2


async def test_many_at_once_wait_for_one_fetch():
    document = published()
    issuer, tokens = Issuer(TRUSTED, document), [signed(sub=f"s{number}") for number in range(20)]
    assert len(await asyncio.gather(*(issuer.verify(token, NOW) for token in tokens))) == 20
    assert document.fetches == 1


async def test_whoever_goes_away_while_keys_are_fetched_spoils_it_for_nobody():
    issuer = Issuer(TRUSTED, published())
    first = asyncio.create_task(issuer.verify(signed(), NOW))
    second = asyncio.create_task(issuer.verify(signed(), NOW))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).subject == "ann"


async def test_a_key_that_is_withdrawn_lets_nobody_in_after_ten_minutes_not_even_a_remembered_token():
    document, token = published(), signed()
    issuer = Issuer(TRUSTED, document)
    await issuer.verify(token, NOW)
    document.keys = (jwk(NEW, "new"),)
    assert await issuer.verify(token, NOW + FRESH_SECONDS - 1)
    with pytest.raises(UnauthenticatedError, match="no such key"):
        await issuer.verify(token, NOW + FRESH_SECONDS)


async def test_while_keys_cannot_be_fetched_the_last_good_ones_serve_for_a_day():
    document = published()
    issuer = Issuer(TRUSTED, document)
    await issuer.verify(signed(), NOW)
    document.fails, late = True, NOW + LAST_GOOD_SECONDS - 1
    assert await issuer.verify(signed(now=late), late)
    assert issuer.trouble == "the token issuer cannot be reached"
    with pytest.raises(UnavailableError):
        await issuer.verify(signed(now=late), late + 1)
    document.fails, again = False, late + 1 + RETRY_SECONDS
    assert await issuer.verify(signed(now=again), again)
    assert issuer.trouble == ""


async def test_a_document_that_is_none_leaves_the_last_good_keys_in_place():
    document = published()
    issuer = Issuer(TRUSTED, document)
    await issuer.verify(signed(), NOW)
    document.keys = ()
    assert await issuer.verify(signed(), NOW + FRESH_SECONDS)
    assert "no key" in issuer.trouble


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys": 7}', b"<html>", b"[" * 100_000])
async def test_without_keys_there_is_an_error_that_passes_and_the_next_fetch_soon(text: bytes):
    answers = [text, json.dumps({"keys": [jwk(OLD, "old")]}).encode()]

    async def fetch() -> bytes:
        return answers.pop(0)

    issuer = Issuer(TRUSTED, fetch)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="cannot be fetched"):
            await issuer.verify(signed(), NOW)
    assert await issuer.verify(signed(), NOW + FIRST_RETRY_SECONDS)


def test_settings_name_an_issuer_whole_or_not_at_all():
    given = ENVIRON | {"CREWLINE_OIDC_ISSUER": URL, "CREWLINE_OIDC_JWKS_URL": f"{URL}jwks"}
    assert Settings.from_environ(given).oidc == TRUSTED
    assert Settings.from_environ(ENVIRON).oidc is None
    wrong = {
        "CREWLINE_OIDC_JWKS_URL": ["", "http://login.example.com/jwks"],
        "CREWLINE_OIDC_ALGORITHMS": ["HS256", "none", "RS256,HS256", "rs256"],
        "CREWLINE_OIDC_ISSUER": [""],
    }
    for name, values in wrong.items():
        for value in values:
            with pytest.raises(SettingsError, match="CREWLINE_OIDC_"):
                Settings.from_environ(given | {name: value})

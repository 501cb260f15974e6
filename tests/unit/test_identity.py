"""Whom a token lets in, and whom it does not."""

import base64
import json
import string
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import identity
from core.errors import InvalidInputError, UnauthenticatedError
from core.identity import FLOWS_READ, SUBJECT, Keys, Principal, escaped, mint, unescaped, verify
from tests.hostile_subjects import HOSTILE

NOW = 1_800_000_000
SECRET = "s" * 64
KEYS = Keys({"new": SECRET, "old": "o" * 32})
CLAIMS = {
    "tenant": "acme",
    "sub": "ann",
    "aud": "crewline",
    "scope": FLOWS_READ,
    "iat": NOW,
    "exp": NOW + 60,
}


def signed(header: dict[str, Any] | None = None, *, secret: str = SECRET, **changes: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(claims, secret, headers={"kid": "new"} | (header or {}))


def glued(header: dict[str, Any] | str, *, signature: str = "") -> str:
    """A token put together by hand, since the library would not make it."""
    text = header if isinstance(header, str) else json.dumps(header)
    parts = (text.encode(), json.dumps(CLAIMS).encode())
    body = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    return f"{body}.{signature}"


def test_a_minted_token_says_who_it_was_minted_for():
    token = mint(KEYS, "acme", "ann", [FLOWS_READ], ttl_seconds=60, now=NOW)
    assert verify(token, Keys(KEYS.live), NOW) == Principal("acme", "ann", frozenset({FLOWS_READ}))
    assert jwt.get_unverified_header(token)["kid"] == "new"


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(glued({"alg": "none", "kid": "new"}), id="no algorithm"),
        pytest.param(signed({"alg": "HS384"}), id="another algorithm"),
        pytest.param(signed(secret="x" * 32), id="another secret"),
        pytest.param(signed({"kid": "old"}), id="the other key's id"),
        pytest.param(signed({"kid": "gone"}), id="a key id of nobody"),
        pytest.param(signed({"kid": "../../dev/null"}), id="a path for a key id"),
        pytest.param(signed({"kid": ""}), id="an empty key id"),
        pytest.param(glued({"alg": "HS256", "kid": ["new"]}), id="a list for a key id"),
        pytest.param(glued({"alg": "HS256"}), id="no key id"),
        pytest.param(glued("[" * 2000), id="a deep header"),
        pytest.param(signed(aud="elsewhere"), id="another service"),
        pytest.param(signed(tenant=None), id="no tenant"),
        pytest.param(signed(sub=None), id="no subject"),
        pytest.param(signed(aud=None), id="no service"),
        pytest.param(signed(iat=None), id="no beginning"),
        pytest.param(signed(exp=None), id="no end"),
        pytest.param(signed(tenant="a/b"), id="a tenant that breaks out of its key"),
        pytest.param(signed(tenant="a\n"), id="a tenant with a line end"),
        pytest.param(signed(tenant=7), id="a number for a tenant"),
        pytest.param(signed(sub="a" * 129), id="a subject that is too long"),
        pytest.param(signed(sub=""), id="an empty subject"),
        pytest.param(signed(sub="an n"), id="a subject with a space"),
        pytest.param(signed(sub="ann\n"), id="a subject with a line end"),
        pytest.param(signed(sub="\u0430nn"), id="a subject that looks like another"),
        pytest.param(signed(sub="*"), id="everybody"),
        pytest.param(signed(sub="-"), id="nobody"),
        pytest.param(signed(sub="~"), id="what is summed without a name"),
        pytest.param(signed(scope=["flows:read"]), id="a list for a scope"),
        pytest.param(signed(exp=NOW - 60), id="expired"),
        pytest.param(signed(exp=NOW + 60.5), id="half a second"),
        pytest.param(signed(exp=float("nan")), id="no number for a time"),
        pytest.param(signed(iat=NOW + 60), id="issued in the future"),
        pytest.param(signed(nbf=NOW + 60), id="not valid yet"),
        pytest.param(signed(exp=NOW + 25 * 3600), id="longer than a day"),
        pytest.param("", id="nothing"),
        pytest.param("a.b.c", id="rubbish"),
    ],
)
def test_a_token_that_is_not_quite_right_lets_nobody_in(token: str):
    with pytest.raises(UnauthenticatedError) as refused:
        verify(token, Keys(KEYS.live), NOW)
    assert len(str(refused.value)) < 100
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("subject", HOSTILE)
def test_a_subject_may_be_an_address_or_what_an_issuer_calls_it(subject: str):
    token = mint(KEYS, "acme", subject, [], ttl_seconds=60, now=NOW)
    assert verify(token, KEYS, NOW).subject == subject


@given(st.from_regex(SUBJECT, fullmatch=True) | st.sampled_from(HOSTILE))
def test_an_escaped_subject_has_no_separator_and_comes_back(subject: str):
    assert set(escaped(subject)) <= set(string.ascii_letters + string.digits + "_-~")
    assert unescaped(escaped(subject)) == subject


@given(st.text(max_size=200))
def test_no_text_does_worse_than_being_refused(text: str):
    with pytest.raises(UnauthenticatedError):
        verify(text, KEYS, NOW)


def test_a_tampered_payload_is_refused():
    head, _, signature = signed().split(".")
    payload = jwt.encode(CLAIMS | {"tenant": "rival"}, "x" * 32).split(".")[1]
    with pytest.raises(UnauthenticatedError):
        verify(f"{head}.{payload}.{signature}", KEYS, NOW)


def test_a_clock_may_be_half_a_minute_off():
    keys = Keys(KEYS.live)
    assert verify(signed(iat=NOW + 20), keys, NOW)
    assert verify(signed(), keys, NOW + 80)


def test_a_remembered_token_still_expires():
    keys, token = Keys(KEYS.live), signed()
    assert verify(token, keys, NOW) is verify(token, keys, NOW + 59)
    with pytest.raises(UnauthenticatedError, match="expired"):
        verify(token, keys, NOW + 60 + identity.LEEWAY_SECONDS)


def test_only_so_many_tokens_are_remembered_and_none_that_was_refused():
    keys = Keys(KEYS.live)
    for number in range(identity.REMEMBERED + 5):
        keys.remember(str(number), Principal("acme", "ann", frozenset()), NOW)
    assert keys.known("4") is None
    assert keys.known("5") is not None
    with pytest.raises(UnauthenticatedError):
        verify("a.b.c", keys, NOW)
    assert keys.known("a.b.c") is None


def test_while_keys_are_rotated_both_verify_and_a_key_taken_out_does_not():
    old = mint(Keys({"old": "o" * 32}), "acme", "ann", [], ttl_seconds=60, now=NOW)
    assert verify(old, Keys(KEYS.live), NOW)
    with pytest.raises(UnauthenticatedError):
        verify(old, Keys({"new": SECRET}), NOW)


def test_a_scope_that_is_not_known_yet_does_no_harm():
    assert verify(signed(scope="flows:read moon:land"), KEYS, NOW).scopes >= {FLOWS_READ}
    assert verify(signed(scope=None), KEYS, NOW).scopes == frozenset()


@pytest.mark.parametrize(
    ("tenant", "scopes", "ttl_seconds"),
    [("a b", [], 60), ("acme", ["flows:reed"], 60), ("acme", [], 0), ("acme", [], 86_401)],
)
def test_a_token_that_would_be_refused_is_not_minted(
    tenant: str, scopes: list[str], ttl_seconds: int
):
    with pytest.raises(InvalidInputError):
        mint(KEYS, tenant, "ann", scopes, ttl_seconds=ttl_seconds, now=NOW)


def test_keys_do_not_show_their_secrets():
    assert SECRET not in repr(KEYS)


def test_the_program_in_the_page_on_tokens_mints_one_that_is_taken(
    monkeypatch: pytest.MonkeyPatch,
):
    page = Path(__file__).parents[2] / "docs" / "tokens.md"
    program = page.read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    monkeypatch.setenv("CREWLINE_JWT_KEYS", f"new:{SECRET},old:{'o' * 32}")
    names: dict[str, Any] = {}
    exec(compile(program, "tokens.md", "exec"), names)  # noqa: S102 -- our own page
    who = verify(names["token"], Keys(KEYS.live), int(time.time()))
    assert who == Principal("acme", "ann", frozenset({"flows:read", "flows:write"}))

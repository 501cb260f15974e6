"""Settings of an OIDC issuer, whose tokens are taken beside those of CREWLINE_JWT_KEYS."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from core.config.variables import SettingsError, read_all, text, value, variables

ALGORITHMS = (  # with a public key, all of them: a secret that an issuer publishes is none
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _algorithms(environ: Mapping[str, str]) -> tuple[str, ...]:
    listed = environ.get("CREWLINE_OIDC_ALGORITHMS", "RS256").split(",")
    chosen = tuple(name.strip() for name in listed)
    if wrong := [name for name in chosen if name not in ALGORITHMS]:
        known = ", ".join(ALGORITHMS)
        raise SettingsError(f"CREWLINE_OIDC_ALGORITHMS: {wrong[0]!r} is none of {known}")
    return chosen


@dataclass(frozen=True, slots=True)
class Oidc:
    """Whose tokens are taken, where its keys are, and which claims say what."""

    issuer: str = text(
        "CREWLINE_OIDC_ISSUER",
        "an OIDC issuer, whose [tokens](tokens.md) are taken beside those of `CREWLINE_JWT_KEYS`: its `iss`,"
        " letter by letter; takes the extra `oidc`",
        required=True,
        shown="none",
    )
    jwks_url: str = text(
        "CREWLINE_OIDC_JWKS_URL",
        "where it publishes its keys: `jwks_uri` of its `.well-known/openid-configuration`",
        required=True,
        is_address=True,
    )
    audience: str = text(
        "CREWLINE_OIDC_AUDIENCE", "the `aud` that its tokens must have", default="crewline"
    )
    algorithms: tuple[str, ...] = value(
        _algorithms,
        "CREWLINE_OIDC_ALGORITHMS",
        meaning="what it may sign with, with commas between; whatever else a token says is refused",
        default=("RS256",),
        shown="`RS256`",
    )
    tenant_claim: str = text(
        "CREWLINE_OIDC_TENANT_CLAIM", "the claim that names the tenant", default="tenant"
    )
    subject_claim: str = text(
        "CREWLINE_OIDC_SUBJECT_CLAIM", "the claim that names the subject", default="sub"
    )
    scopes_claim: str = text(
        "CREWLINE_OIDC_SCOPES_CLAIM",
        "the claim that lists the scopes: words with spaces between, or a list",
        default="scope",
    )


def read_oidc(environ: Mapping[str, str]) -> Oidc | None:
    """Return whose tokens are taken; None where there is no issuer. Raises SettingsError."""
    if "CREWLINE_OIDC_ISSUER" not in environ:
        names = (name for _, variable in variables(Oidc) for name in variable.names)
        if alone := next((name for name in names if name in environ), None):
            raise SettingsError(f"{alone} needs CREWLINE_OIDC_ISSUER: whose tokens are meant")
        return None
    if find_spec("cryptography") is None:
        raise SettingsError("CREWLINE_OIDC_ISSUER takes the extra `oidc`, which is not installed")
    oidc = Oidc(**read_all(Oidc, environ))
    address = urlsplit(oidc.jwks_url)
    if address.scheme != "https" and address.hostname not in LOOPBACK:
        raise SettingsError(
            "CREWLINE_OIDC_JWKS_URL must begin with https://: who can change it on the way lets anybody in"
        )
    return oidc

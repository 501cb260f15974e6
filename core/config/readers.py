"""What the variables may hold that are more than a number or a text; each reader takes all of them.

Every reader raises SettingsError, with a sentence that names the variable.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from core.config.variables import SettingsError, check_secrets

BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
WEBHOOK_HOST = re.compile(
    r"(?:(?P<scheme>https?)://(?=.*:\d{1,5}\Z))?"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?P<port>\d{1,5}))?",
    re.IGNORECASE,
)  # what an entry means, core.webhooks.targets says
LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
DEV_KEY_ID = "dev"
LOCAL_HOST = "local"
LOG_FORMATS = ("json", "text")
OFFLINE = "offline"  # the value of CREWLINE_MODEL that asks for the model that needs no key
DEFAULT_MODEL = "openai/gpt-4o-mini"  # of OpenAI's key alone
OPENAI_ADDRESSES = ("OPENAI_BASE_URL", "OPENAI_API_BASE")  # read by OpenAI's client


def is_plaintext(url: str) -> bool:
    """Tell whether what goes to this address can be read on the way; on this machine it cannot."""
    address = urlsplit(url)
    return address.scheme == "http" and not LOOPBACK.fullmatch(address.hostname or "")


def model(environ: Mapping[str, str]) -> str | None:
    """Return the model's name; None where none is named, or the offline one."""
    named = _named_model(environ)
    return None if named == OFFLINE else named


def offline_model(environ: Mapping[str, str]) -> bool:
    """Tell whether the offline model is asked for: by name, or by a local run that names no other."""
    named = _named_model(environ)
    return named == OFFLINE or (named is None and environ.get("CREWLINE_HOST") == LOCAL_HOST)


def _named_model(environ: Mapping[str, str]) -> str | None:
    """Return what `CREWLINE_MODEL` says. OpenAI's key alone means a model of OpenAI.

    Raises SettingsError for an address, or a key of who knows which provider, without a model: the
    prompts and the key would go to whoever is guessed.
    """
    if "CREWLINE_MODEL" in environ:
        return environ["CREWLINE_MODEL"]
    key = environ.get("OPENAI_API_KEY")
    elsewhere = (
        "CREWLINE_MODEL_BASE_URL",
        "CREWLINE_MODEL_API_KEY",
        *(OPENAI_ADDRESSES if key else ()),
    )
    if alone := next((name for name in elsewhere if name in environ), None):
        raise SettingsError(f"{alone} needs CREWLINE_MODEL: the model that is meant there")
    return DEFAULT_MODEL if key else None


def model_api_key(environ: Mapping[str, str]) -> str | None:
    """Return the model's key. OpenAI's is not handed to another provider."""
    return environ.get("CREWLINE_MODEL_API_KEY") or _openai_key(environ)


def _openai_key(environ: Mapping[str, str]) -> str | None:
    provider = environ.get("CREWLINE_MODEL", "openai").partition("/")[0]
    meant = provider == "openai" or "CREWLINE_MODEL_BASE_URL" in environ
    return environ.get("OPENAI_API_KEY") if meant else None


def origins(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read the origins of browser pages."""
    text = environ.get("CREWLINE_CORS_ORIGINS", "")
    listed = tuple(origin.strip() for origin in text.split(",") if origin.strip())
    if wrong := [origin for origin in listed if not ORIGIN.fullmatch(origin)]:
        raise SettingsError(
            f"CREWLINE_CORS_ORIGINS: {wrong[0]} is not like https://app.example.com"
        )
    return listed


def models(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read the models that tenants may choose."""
    listed = environ.get("CREWLINE_MODELS", "").split(",")
    return tuple(name.strip() for name in listed if name.strip())


def base_path(environ: Mapping[str, str]) -> str:
    """Read what the paths of requests begin with."""
    path = environ.get("CREWLINE_BASE_PATH", "").rstrip("/")
    if path and not BASE_PATH.fullmatch(path):
        raise SettingsError("CREWLINE_BASE_PATH must be like /prod")
    return path


def log_format(environ: Mapping[str, str]) -> str:
    """Read the form of log lines; on the local host it is for a person."""
    default = "text" if environ.get("CREWLINE_HOST") == LOCAL_HOST else "json"
    form = environ.get("CREWLINE_LOG", default)
    if form not in LOG_FORMATS:
        raise SettingsError("CREWLINE_LOG must be json or text")
    return form


def jwt_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Read `CREWLINE_JWT_KEYS=kid:secret,kid:secret`: the first signs, all of them verify.

    {} where there are none: what a queue or a schedule calls checks no tokens. Raises SettingsError,
    also for the development key anywhere but on the local host.
    """
    text = environ.get("CREWLINE_JWT_KEYS")
    return _secrets_by_id("CREWLINE_JWT_KEYS", text, environ) if text else {}


def learning_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Read `CREWLINE_LEARNING_KEYS`, of the same form; {} where there are none. Raises SettingsError."""
    text = environ.get("CREWLINE_LEARNING_KEYS")
    return _secrets_by_id("CREWLINE_LEARNING_KEYS", text, environ) if text else {}


def _secrets_by_id(name: str, text: str, environ: Mapping[str, str]) -> dict[str, str]:
    pairs = [pair.partition(":") for pair in text.split(",")]
    keys = {kid.strip(): secret.strip() for kid, _, secret in pairs}
    if len(keys) < len(pairs):
        raise SettingsError(f"{name} names the same kid twice")
    if len(keys) > 2 or not all(keys):  # noqa: PLR2004 -- the new one and the old one
        raise SettingsError(f"{name} must be one or two of kid:secret")
    check_secrets(name, keys.values())
    if DEV_KEY_ID in keys and environ.get("CREWLINE_HOST") != LOCAL_HOST:
        raise SettingsError(f"{name} holds the development key; make one of your own")
    return keys


def cron_secret(environ: Mapping[str, str]) -> str | None:
    """Read the secret of Vercel's crons. Raises SettingsError for one that can be guessed."""
    secret = environ.get("CRON_SECRET")
    check_secrets("CRON_SECRET", (secret,) if secret else ())
    return secret


def webhook_hosts(environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Read `CREWLINE_WEBHOOK_HOSTS=tenant=host,host;tenant=host`. Raises SettingsError.

    What an entry may be, `core.webhooks.targets` says.
    """
    hosts: dict[str, tuple[str, ...]] = {}
    for part in filter(None, map(str.strip, environ.get("CREWLINE_WEBHOOK_HOSTS", "").split(";"))):
        tenant, _, listed = (text.strip() for text in part.partition("="))
        hosts[tenant] = tuple(host.strip() for host in listed.split(","))
        if not tenant or not all(map(WEBHOOK_HOST.fullmatch, hosts[tenant])):
            raise SettingsError(
                "CREWLINE_WEBHOOK_HOSTS must be like tenant=hooks.example.com,other.example.com;tenant=..."
            )
    return hosts


def webhook_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read `CREWLINE_WEBHOOK_SECRET`: one, or two with the newer first. Raises SettingsError."""
    listed = environ.get("CREWLINE_WEBHOOK_SECRET", "").split(",")
    secrets = tuple(secret.strip() for secret in listed if secret.strip())
    if len(secrets) > 2:  # noqa: PLR2004 -- the new one and the old one
        raise SettingsError("CREWLINE_WEBHOOK_SECRET must be one or two, with a comma between")
    check_secrets("CREWLINE_WEBHOOK_SECRET", secrets)
    return secrets

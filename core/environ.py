"""Reading variables of the environment, each with a sentence that names the one that cannot work."""

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar
from urllib.parse import urlsplit

SECRET_CHARACTERS = 32  # RFC 7518, 3.2: 256 bits for HS256
SECRET_ALPHABET = 8  # different characters of a secret, fewer of which nobody drew at random


class SettingsError(Exception):
    """A setting is missing or cannot work; the message names the variable and the remedy."""

    loggable: ClassVar[bool] = True


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set to something, without blanks around it."""
    stripped = {name: value.strip() for name, value in environ.items()}
    return {name: value for name, value in stripped.items() if value}


def required(environ: Mapping[str, str], name: str) -> str:
    """Return a variable that must be set."""
    value = given(environ).get(name)
    if value is None:
        raise SettingsError(f"{name} is not set; docs/settings.md says what it should hold")
    return value


def check_addresses(environ: Mapping[str, str], names: Iterable[str]) -> None:
    """Raise SettingsError for an address that no client could reach: a scheme is missing, mostly."""
    for name in environ.keys() & set(names):
        try:
            parts = urlsplit(environ[name])
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is no number, a bracket that is open
            usable = False
        if not usable:
            raise SettingsError(f"{name} must be an address like https://example.com")


def seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    """Return a number of seconds above zero."""
    try:
        value = float(environ.get(name, default))
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SettingsError(f"{name} must be a number of seconds above zero")
    return value


def whole(environ: Mapping[str, str], name: str, default: int, floor: int) -> int:
    """Return a whole number of at least `floor`."""
    text = environ.get(name, str(default))
    if not text.isdecimal() or int(text) < floor:
        raise SettingsError(f"{name} must be a whole number of at least {floor}")
    return int(text)


def on(environ: Mapping[str, str], name: str) -> bool:
    """Return whether a variable is `on`; it is `off` where nothing is set."""
    if (value := environ.get(name) or "off") not in ("on", "off"):
        raise SettingsError(f"{name} must be on or off")
    return value == "on"


def limit(environ: Mapping[str, str], name: str) -> float:
    """Return a number of seconds; infinity where nothing is set."""
    return seconds(environ, name, math.inf) if environ.get(name) else math.inf


def check_secrets(name: str, secrets: Iterable[str]) -> None:
    """Raise SettingsError for a secret that can be guessed."""
    for secret in secrets:
        if len(secret) < SECRET_CHARACTERS or len(set(secret)) < SECRET_ALPHABET:
            raise SettingsError(
                f"{name} must hold secrets of {SECRET_CHARACTERS} characters or more, drawn at random:"
                " openssl rand -hex 32"
            )

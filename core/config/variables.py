"""Variables of the environment: how a setting is declared, read, and refused by name.

A declaration makes a field of a dataclass; `read_all` reads all of them. A variable that is empty, or
blank, is one that is not set: `${env:X, ''}` in a template gives that.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

PREFIX = "CREWLINE_"
LIKENESS = 0.8  # of two names, from 0 to 1: two letters of five that are swapped
SECRET_CHARACTERS = 32  # RFC 7518, 3.2: 256 bits for HS256
SECRET_ALPHABET = 8  # different characters of a secret, fewer of which nobody drew at random

Environ = Mapping[str, str]


class SettingsError(Exception):
    """A setting is missing or cannot work; the message names the variable and the remedy."""

    loggable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Variable:
    """What a field is read from, and what the page on settings says of it.

    `names` are none where a field follows from other fields' variables.
    """

    names: tuple[str, ...]
    read: Callable[[Environ], Any]
    meaning: str
    shown_default: str
    is_address: bool


def given(environ: Environ) -> dict[str, str]:
    """Return the variables that are set to something, without blanks around it."""
    stripped = {name: value.strip() for name, value in environ.items()}
    return {name: value for name, value in stripped.items() if value}


def variables(settings: type) -> Iterator[tuple[str, Variable]]:
    """Yield the fields that a class declares, each with its variable."""
    for each in dataclasses.fields(settings):
        yield each.name, each.metadata["variable"]


def read_all(settings: type, environ: Environ) -> dict[str, Any]:
    """Return the value of each field that a class declares. Raises SettingsError."""
    return {name: variable.read(environ) for name, variable in variables(settings)}


# Declarations. A field has the type that the class says, so these return Any.


def value(
    read: Callable[[Environ], Any],
    *names: str,
    meaning: str = "",
    default: Any = MISSING,
    shown: str = "",
    secret: bool = False,
    is_address: bool = False,
) -> Any:
    """Declare a field that `read` makes of the variables; `shown` is its default on the page.

    A `default` that can be called makes one for each instance.
    """
    metadata = {"variable": Variable(names, read, meaning, shown, is_address)}
    if callable(default):
        return dataclasses.field(default_factory=default, repr=not secret, metadata=metadata)
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


def text(
    name: str,
    meaning: str,
    *,
    required: bool = False,
    default: str | None = None,
    shown: str = "",
    secret: bool = False,
    is_address: bool = False,
) -> Any:
    """Declare a text; without a default it is None where nothing is set, unless it is required."""
    return value(
        lambda environ: need(environ, name) if required else environ.get(name, default),
        name,
        meaning=meaning,
        default=MISSING if required else default,
        shown=shown or (f"`{default}`" if default else ""),
        secret=secret,
        is_address=is_address,
    )


def seconds(name: str, default: float, meaning: str, shown: str = "") -> Any:
    """Declare a number of seconds above zero."""

    def read(environ: Environ) -> float:
        if name not in environ:
            return default
        try:
            number = float(environ[name])
        except ValueError:
            number = 0.0
        if not 0 < number < math.inf:
            raise SettingsError(f"{name} must be a number of seconds above zero")
        return number

    return value(read, name, meaning=meaning, default=default, shown=shown or f"{default:g}")


def whole(name: str, default: int, floor: int, meaning: str) -> Any:
    """Declare a whole number of at least `floor`."""

    def read(environ: Environ) -> int:
        number = environ.get(name, str(default))
        if not number.isdecimal() or int(number) < floor:
            raise SettingsError(f"{name} must be a whole number of at least {floor}")
        return int(number)

    shown = str(default) if floor <= 1 else f"{default}; at least {floor}"
    return value(read, name, meaning=meaning, default=default, shown=shown)


def switch(name: str, meaning: str) -> Any:
    """Declare what is `on` or `off`; off is the default."""

    def read(environ: Environ) -> bool:
        if (state := environ.get(name, "off")) not in ("on", "off"):
            raise SettingsError(f"{name} must be on or off")
        return state == "on"

    return value(read, name, meaning=meaning, default=False, shown="`off`")


# What several readers check.


def need(environ: Environ, name: str) -> str:
    """Return a variable that must be set. Raises SettingsError."""
    found = given(environ).get(name)
    if found is None:
        raise SettingsError(f"{name} is not set; docs/settings.md says what it should hold")
    return found


def check_names(environ: Environ, *declared: type, others: Iterable[str] = ()) -> None:
    """Raise SettingsError for a variable of ours that is nearly a setting: it is misspelt.

    What is near to none may be of a later version, or of somebody's own, and is passed over.
    """
    listed = (variable for settings in declared for _, variable in variables(settings))
    known = {name for variable in listed for name in variable.names} | set(others)
    ends = {name.removeprefix(PREFIX): name for name in known if name.startswith(PREFIX)}
    for name in environ:
        if name.startswith(PREFIX) and name not in known:
            from difflib import get_close_matches  # noqa: PLC0415 -- takes 5 ms of a cold start

            near = get_close_matches(name.removeprefix(PREFIX), ends, 1, LIKENESS)
            if near:
                raise SettingsError(f"{name} is no setting; did you mean {ends[near[0]]}?")


def check_addresses(environ: Environ, *declared: type) -> None:
    """Raise SettingsError for an address that no client could reach: a scheme is missing, mostly."""
    listed = (variable for settings in declared for _, variable in variables(settings))
    for name in (name for variable in listed if variable.is_address for name in variable.names):
        if name in environ and not _is_address(environ[name]):
            raise SettingsError(f"{name} must be an address like https://example.com")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is open
        return False


def check_secrets(name: str, secrets: Iterable[str]) -> None:
    """Raise SettingsError for a secret that can be guessed."""
    for secret in secrets:
        if len(secret) < SECRET_CHARACTERS or len(set(secret)) < SECRET_ALPHABET:
            raise SettingsError(
                f"{name} must hold secrets of {SECRET_CHARACTERS} characters or more, drawn at random:"
                " openssl rand -hex 32"
            )

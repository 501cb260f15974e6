"""Calling Lua scripts as functions: what a script takes is the signature of its function.

A function makes a `ScriptCall`, which `ScriptRunner` runs. Parameters annotated `Key` are the
script's KEYS, in this order, and constants there (`due` is DUE); `Texts` are values too large to stand in JSON; `Events` are appended to
the flow's log; all others are small, and reach the script as `args`. A parameter that is a dataclass
stands for its fields. A script runs by its SHA-1; a server that does not know it (a new one, or one
that was flushed) gets its text once more.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import cache, wraps
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, ParamSpec, get_type_hints

from core.adapters.upstash.commands import CommandError, Commands
from core.errors import TooLargeError
from core.flows.events import Event
from core.json_text import compact, compact_bytes

P = ParamSpec("P")
Keys = Annotated[Sequence[str], "keys"]
Texts = Annotated[Sequence[str], "texts"]
Events = Annotated[Sequence[tuple[str, str]], "events"]  # type and JSON, see `encoded`

FOLDER = Path(__file__).parent / "lua"
PAYLOAD = "\x1e"  # stands in an event for the first text; JSON text never holds it
MAX_REQUEST_BYTES = 10_000_000  # what Upstash takes, less the little that a request has around it


@dataclass(frozen=True, slots=True)
class Signature:
    """The files that a script is made of, in order, and the names of its keys."""

    parts: tuple[str, ...]
    keys: tuple[str, ...]


SCRIPTS: dict[str, Signature] = {}  # by name; the modules in scripts/ fill it


@dataclass(slots=True)
class ScriptCall:
    """One run of a script."""

    parts: tuple[str, ...]
    keys: list[str] = field(default_factory=list[str])
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    texts: Sequence[str] = ()
    events: Sequence[tuple[str, str]] = ()

    def command(self) -> list[str | int]:
        """Return what follows the script's SHA-1 or text."""
        rest = [len(self.texts), *self.texts, *(text for event in self.events for text in event)]
        return [len(self.keys), *self.keys, compact(self.arguments), *rest]


def script(*parts: str) -> Callable[[Callable[P, None]], Callable[P, ScriptCall]]:
    """Make a signature the function that calls the script of its name; `parts` go before it."""

    def made(declared: Callable[P, None]) -> Callable[P, ScriptCall]:
        name, parameters = declared.__name__, inspect.signature(declared).parameters
        defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
        plan = tuple(_plan(declared))
        keys = tuple(part.name for part in plan if part.kind == "key")
        SCRIPTS[name] = Signature(("prelude", *parts, name), keys)

        @wraps(declared)
        def call(*args: P.args, **kwargs: P.kwargs) -> ScriptCall:
            given = {**defaults, **dict(zip(parameters, args, strict=False)), **kwargs}
            made = ScriptCall(SCRIPTS[name].parts)
            for part in plan:
                value = given[part.parameter]
                _give(made, part.kind, part.name, part.of(value) if part.of else value)
            return made

        return call

    return made


@dataclass(frozen=True, slots=True)
class _Part:
    """What a script takes, by its name there: a parameter, or `of` one that is a dataclass a field."""

    parameter: str
    name: str
    kind: str  # key, keys, texts, events, argument
    of: Callable[[Any], Any] | None


def _plan(declared: Any, parameter: str = "", path: tuple[str, ...] = ()) -> Iterator[_Part]:
    """Yield what a script takes, in the order of its signature."""
    for name, hint in get_type_hints(declared, include_extras=True).items():
        place = (*path, name)
        if is_dataclass(hint):
            yield from _plan(hint, parameter or name, place)
        elif name != "return":
            kind = getattr(hint, "__metadata__", ("argument",))[0]
            of = attrgetter(".".join(place[1:])) if path else None
            yield _Part(parameter or name, name, kind, of)


def _give(call: ScriptCall, kind: str, name: str, value: Any) -> None:
    match kind:
        case "key":
            call.keys.append(value)
        case "keys":
            call.keys.extend(value)
        case "texts":
            call.texts = value
        case "events":
            call.events = value
        case _:
            if value is not None:
                call.arguments[name] = value


def encoded(events: Sequence[Event], payload: Any = None) -> list[tuple[str, str]]:
    """Return events as a script takes them; the value of one that *is* the payload stands for it.

    So a large output travels once, however many events tell of it.
    """
    return [(event["type"], _encode(event, payload)) for event in events]


def _encode(event: Event, payload: Any) -> str:
    for name in ("result", "value") if isinstance(payload, str | dict | list) else ():
        if event.get(name) is payload and payload:
            stand_in = f'"{name}":' + json.dumps(PAYLOAD)
            head, tail = compact(event | {name: PAYLOAD}).split(stand_in, 1)
            return f'{head}"{name}":{PAYLOAD}{tail}'
    return compact(event)


@cache
def text(folder: Path, parts: tuple[str, ...]) -> str:
    """Return a script with what it shares with others, and the names of its keys, in front of it."""
    first, *rest = [(folder / f"{part}.lua").read_text() for part in parts]
    return "\n".join([first, _named_keys(SCRIPTS[parts[-1]].keys), *rest])


def _named_keys(names: tuple[str, ...]) -> str:
    """Return the keys of a signature as constants of a script: `flow_key` is FLOW, `due` is DUE."""
    constants = ", ".join(name.removesuffix("_key").upper() for name in names)
    return f"local {constants} = unpack(KEYS)"


@cache
def sha1(folder: Path, parts: tuple[str, ...]) -> str:
    """Return the name under which a server knows the script."""
    return hashlib.sha1(text(folder, parts).encode(), usedforsecurity=False).hexdigest()


class ScriptRunner:
    """Runs scripts. Raises TooLargeError for a request of more than `max_bytes`."""

    def __init__(
        self, redis: Commands, folder: Path = FOLDER, max_bytes: int = MAX_REQUEST_BYTES
    ) -> None:
        self._redis, self._folder, self._max_bytes = redis, folder, max_bytes

    async def run(self, call: ScriptCall, what: str = "what is to be stored") -> Any:
        """Run a script and return its reply; `what` names its largest value in an error."""
        rest = call.command()
        self._check_size(rest, what)
        try:
            return await self._redis.execute(["EVALSHA", sha1(self._folder, call.parts), *rest])
        except CommandError as error:
            if error.code != "NOSCRIPT":
                raise
        return await self._redis.execute(["EVAL", text(self._folder, call.parts), *rest])

    def _check_size(self, rest: list[str | int], what: str) -> None:
        """Measure a request as it goes over the wire, if it can be too large at all."""
        if sum(len(str(part)) for part in rest) * 6 < self._max_bytes:  # a character is 6 at most
            return
        size = len(compact_bytes(rest))
        if size > self._max_bytes:
            raise TooLargeError(f"{what} is {size:,} bytes; at most {self._max_bytes:,}")
